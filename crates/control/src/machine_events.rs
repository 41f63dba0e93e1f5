//! Machine events: the ticket of a piece of work, opened with the intent and closed with settling.
//!
//! **Invariants**: a machine has at most one open event, and the schema says so too; an event is opened and
//! closed only in the transaction that changes or settles its machine.

use deckle_api::details::Detail;
use deckle_api::ids::{MachineEventId, MachineId, TeamId};
use deckle_api::machine_events::{
    ListMachineEvents, MachineEvent, MachineEventDetail, MachineEventName, MachineEventOrder,
    MachineEventState,
};
use deckle_api::paging::Page;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::http::openapi::Failure;
use crate::http::{Answer, Caller, Path, Query, show};
use crate::machines;

pub use store::Model as EventRow;

/// The paths of machine events.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get)).routes(routes!(detail))
}

/// List machine events
#[utoipa::path(get, path = "/machine-events", operation_id = "machineEvents-list", tag = "Machine",
    params(ListMachineEvents), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = Page<MachineEvent>), Failure))]
async fn list(
    axum::extract::State(app): axum::extract::State<App>,
    caller: Caller,
    Query(query): Query<ListMachineEvents>,
) -> Answer<Page<MachineEvent>> {
    show(service::list(&app, &caller, query).await?)
}

/// Get a machine event
#[utoipa::path(get, path = "/machine-events/{id}", operation_id = "machineEvents-get", tag = "Machine",
    params(("id" = MachineEventId, Path)), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = MachineEvent), Failure))]
async fn get(
    axum::extract::State(app): axum::extract::State<App>,
    caller: Caller,
    Path(id): Path<MachineEventId>,
) -> Answer<MachineEvent> {
    show(service::get(&app, &caller, &id).await?)
}

/// Show what a machine event waits for
#[utoipa::path(get, path = "/machine-events/{id}/detail", operation_id = "machineEvents-getDetail",
    tag = "Beyond the reference", params(("id" = MachineEventId, Path)), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = MachineEventDetail), Failure))]
async fn detail(
    axum::extract::State(app): axum::extract::State<App>,
    caller: Caller,
    Path(id): Path<MachineEventId>,
) -> Answer<MachineEventDetail> {
    show(service::detail(&app, &caller, &id).await?)
}

/// An event as it is told.
pub fn shown(row: EventRow) -> MachineEvent {
    MachineEvent {
        id: row.id.0,
        name: row.name.0,
        state: row.state.0,
        machine_id: row.machine_id.map(|id| id.0),
        dt_created: row.dt_created.into(),
        dt_started: row.dt_started.map(Into::into),
        dt_finished: row.dt_finished.map(Into::into),
        error: row.error,
    }
}

/// An event that has ended.
fn ended(row: EventRow) -> MachineEventDetail {
    let dt_finished = row.dt_finished.map(Into::into);
    MachineEventDetail {
        event_id: row.id.0,
        state: row.state.0,
        step: None,
        since: None,
        dt_last_error: dt_finished.filter(|_| row.error.is_some()),
        last_error: row.error,
        next_try: None,
        failures: 0,
        dt_finished,
    }
}

/// An event that has not, and what its machine does. What that did before is not the event's.
fn under_way(row: EventRow, machine: Detail) -> MachineEventDetail {
    let ordered = row.dt_created.into();
    MachineEventDetail {
        event_id: row.id.0,
        state: row.state.0,
        step: machine.step,
        since: machine.since.map(|since| since.max(ordered)),
        last_error: machine.last_error,
        dt_last_error: machine.dt_last_error,
        next_try: machine.next_try,
        failures: machine.failures,
        dt_finished: None,
    }
}

/// How an event ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// What was ordered has come about.
    Done,
    /// It has not, for this reason.
    Error(String),
    /// Another order took its place.
    Cancelled,
}

/// What other nouns may ask of events.
pub mod service {
    use deckle_api::Timestamp;

    use super::*;
    use crate::error::{Error, Result};
    use crate::store::{Cursors, Tx};

    pub(super) async fn list(
        app: &App,
        caller: &Caller,
        query: ListMachineEvents,
    ) -> Result<Page<MachineEvent>> {
        let MachineEventOrder::DtCreated = query.order_by.unwrap_or_default();
        let order = query.order.unwrap_or_default();
        let cursors = Cursors::of(&app.sealer, ("machine-events", &caller.team, order, &query.machine_id));
        let after = query.after.as_deref().map(|cursor| cursors.read(cursor)).transpose()?;
        let limit = query.limit.unwrap_or_default();
        let listing = store::listing(&caller.team, query.machine_id.as_ref(), order, limit, after);
        Ok(listing.page(app.store.read()).await?.page(|next| cursors.write(next), shown))
    }

    pub(super) async fn get(app: &App, caller: &Caller, id: &MachineEventId) -> Result<MachineEvent> {
        let event = store::find(app.store.read(), &caller.team, id).await?;
        event.map(shown).ok_or_else(|| Error::no_such("machine event", id))
    }

    /// What an event waits for: what its machine does. One that has ended waits for nothing.
    pub(super) async fn detail(
        app: &App,
        caller: &Caller,
        id: &MachineEventId,
    ) -> Result<MachineEventDetail> {
        let gone = || Error::no_such("machine event", id);
        let find = || store::find(app.store.read(), &caller.team, id);
        let event = find().await?.ok_or_else(gone)?;
        let machine = event.machine_id.as_ref().filter(|_| event.dt_finished.is_none());
        let Some(machine) = machine else { return Ok(ended(event)) };
        match machines::service::detail(app, caller, &machine.0).await {
            Ok(machine) if !machine.is_ready => Ok(under_way(event, machine)),
            // It has ended since it was read, and its machine is ready, or gone.
            Ok(_) | Err(Error::NotFound(_)) => Ok(ended(find().await?.ok_or_else(gone)?)),
            Err(error) => Err(error),
        }
    }

    /// How many events are open.
    pub async fn count_open(app: &App) -> Result<u64> {
        Ok(store::count_open(app.store.read()).await?)
    }

    /// The open event of a machine, if it has one.
    pub async fn open_of(
        tx: &impl sea_orm::ConnectionTrait,
        machine: &MachineId,
    ) -> Result<Option<EventRow>> {
        Ok(store::open_of(tx, machine).await?)
    }

    /// Opens an event. The machine has no other open one.
    pub async fn open(
        app: &App,
        tx: &Tx,
        team: &TeamId,
        machine: &MachineId,
        name: MachineEventName,
    ) -> Result<EventRow> {
        let id = MachineEventId::mint(app.clock.random());
        Ok(store::insert(&**tx, id, team, machine, name, MachineEventState::New, app.clock.now()).await?)
    }

    /// Opens the event of work that nobody ordered: what its machine's host has lost is mended. The machine has
    /// no other open one.
    pub async fn open_unordered(
        app: &App,
        tx: &Tx,
        team: &TeamId,
        machine: &MachineId,
        name: MachineEventName,
    ) -> Result<EventRow> {
        let event = open(app, tx, team, machine, name).await?;
        Ok(store::mark_unordered(&**tx, &event).await?)
    }

    /// Tells what nobody ordered and what does not come about: an event that has failed from the start.
    pub async fn tell_failed(
        app: &App,
        tx: &Tx,
        team: &TeamId,
        machine: &MachineId,
        (name, why): (MachineEventName, String),
    ) -> Result<()> {
        let event = open_unordered(app, tx, team, machine, name).await?;
        end(tx, &event, End::Error(why), app.clock.now()).await
    }

    /// Writes down what needed no work any more: an event that is done from the start.
    pub async fn already_done(
        app: &App,
        tx: &Tx,
        team: &TeamId,
        machine: &MachineId,
        name: MachineEventName,
    ) -> Result<EventRow> {
        let id = MachineEventId::mint(app.clock.random());
        Ok(store::insert(&**tx, id, team, machine, name, MachineEventState::Done, app.clock.now()).await?)
    }

    /// Says that work on it has begun, unless it is closed by now.
    pub async fn begin(tx: &Tx, event: &EventRow, now: Timestamp) -> Result<()> {
        Ok(store::begin(&**tx, event, now).await?)
    }

    /// Closes it.
    pub async fn end(tx: &Tx, event: &EventRow, end: End, now: Timestamp) -> Result<()> {
        Ok(store::end(&**tx, event, end, now).await?)
    }
}

mod store {
    use deckle_api::Timestamp;
    use deckle_api::paging::{Limit, Order};
    use sea_orm::ActiveValue::{Set, Unchanged};
    use sea_orm::entity::prelude::*;

    use super::*;
    use crate::store::{Listing, Micros, Position, Text};

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "machine_events")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Text<MachineEventId>,
        pub team_id: Text<TeamId>,
        pub machine_id: Option<Text<MachineId>>,
        pub name: Text<MachineEventName>,
        pub state: Text<MachineEventState>,
        pub error: Option<String>,
        pub dt_created: Micros,
        pub dt_started: Option<Micros>,
        pub dt_finished: Option<Micros>,
        /// Whether nobody has ordered it: it mends what a host has lost.
        pub unordered: bool,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    pub fn listing(
        team: &TeamId,
        machine: Option<&MachineId>,
        order: Order,
        limit: Limit,
        after: Option<Position>,
    ) -> Listing<Entity> {
        let mut rows = Entity::find().filter(Column::TeamId.eq(team.as_str()));
        if let Some(machine) = machine {
            rows = rows.filter(Column::MachineId.eq(machine.as_str()));
        }
        Listing { rows, sort: Column::DtCreated, id: Column::Id, order, limit, after, name: None }
    }

    pub async fn find(
        store: &impl ConnectionTrait,
        team: &TeamId,
        id: &MachineEventId,
    ) -> Result<Option<Model>, DbErr> {
        let event = Entity::find_by_id(Text(id.clone())).one(store).await?;
        Ok(event.filter(|event| event.team_id.0 == *team))
    }

    /// The words stand in the statement: the index of open events is found by them.
    const OPEN: &str = "state IN ('new', 'in progress')";

    pub async fn count_open(store: &impl ConnectionTrait) -> Result<u64, DbErr> {
        Entity::find().filter(Expr::cust(OPEN)).count(store).await
    }

    pub async fn open_of(store: &impl ConnectionTrait, machine: &MachineId) -> Result<Option<Model>, DbErr> {
        let of_machine = Entity::find().filter(Column::MachineId.eq(machine.as_str()));
        of_machine.filter(Expr::cust(OPEN)).one(store).await
    }

    pub async fn insert(
        store: &impl ConnectionTrait,
        id: MachineEventId,
        team: &TeamId,
        machine: &MachineId,
        name: MachineEventName,
        state: MachineEventState,
        now: Timestamp,
    ) -> Result<Model, DbErr> {
        let over = (state == MachineEventState::Done).then_some(Micros::from(now));
        let event = ActiveModel {
            id: Set(Text(id)),
            team_id: Set(Text(team.clone())),
            machine_id: Set(Some(Text(machine.clone()))),
            name: Set(Text(name)),
            state: Set(Text(state)),
            error: Set(None),
            dt_created: Set(now.into()),
            dt_started: Set(over),
            dt_finished: Set(over),
            unordered: Set(false),
        };
        Entity::insert(event).exec_with_returning(store).await
    }

    pub async fn mark_unordered(store: &impl ConnectionTrait, event: &Model) -> Result<Model, DbErr> {
        let marked =
            ActiveModel { id: Unchanged(event.id.clone()), unordered: Set(true), ..Default::default() };
        Entity::update(marked).exec(store).await
    }

    pub async fn begin(store: &impl ConnectionTrait, event: &Model, now: Timestamp) -> Result<(), DbErr> {
        let begun = ActiveModel {
            state: Set(Text(MachineEventState::InProgress)),
            dt_started: Set(Some(now.into())),
            ..Default::default()
        };
        let still_new = Text(MachineEventState::New);
        let begun = Entity::update_many().set(begun).filter(Column::Id.eq(event.id.clone()));
        begun.filter(Column::State.eq(still_new)).exec(store).await.map(drop)
    }

    pub async fn end(
        store: &impl ConnectionTrait,
        event: &Model,
        end: End,
        now: Timestamp,
    ) -> Result<(), DbErr> {
        let (state, error) = match end {
            End::Done => (MachineEventState::Done, None),
            End::Error(error) => (MachineEventState::Error, Some(error)),
            End::Cancelled => (MachineEventState::Cancelled, None),
        };
        let ended = ActiveModel {
            id: Unchanged(event.id.clone()),
            state: Set(Text(state)),
            error: Set(error),
            dt_started: Set(Some(event.dt_started.unwrap_or(now.into()))),
            dt_finished: Set(Some(now.into())),
            ..Default::default()
        };
        Entity::update(ended).exec_without_returning(store).await.map(drop)
    }
}
