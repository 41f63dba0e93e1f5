//! The rules of custom templates.

mod capture;

use deckle_api::custom_templates::{
    CreateCustomTemplate, CustomTemplate, CustomTemplateOrder, CustomTemplateOrdered, ListCustomTemplates,
    UpdateCustomTemplate,
};
use deckle_api::ids::{TeamId, TemplateId};
use deckle_api::os_templates::AvailableMachineType;
use deckle_api::paging::Page;
use deckle_api::regions::Region;
use deckle_api::sizes::{GB, SizeGb};
use sea_orm::ActiveValue::Set;
use sea_orm::ConnectionTrait;

use super::store::{self, Capture, Column, Model};
use crate::app::App;
use crate::catalogue::{Catalogue, Type};
use crate::error::{Error, Result, chain};
use crate::http::Caller;
use crate::idempotency::commit_once;
use crate::machines::MachineRow;
use crate::os_templates::TemplateRow;
use crate::quotas::{self, Noun};
use crate::reconciler::Object;
use crate::store::{Cursors, Text, Tx};
use crate::{machine_events, machines, names, os_templates};

pub use capture::{Pending, discarded, give_up, made, pending, publish};

/// The page of a team's templates that a query asks for.
pub async fn list(app: &App, caller: &Caller, query: ListCustomTemplates) -> Result<Page<CustomTemplate>> {
    let order_by = query.order_by.unwrap_or_default();
    let order = query.order.unwrap_or_default();
    let list = ("custom-templates", &caller.team, order_by.word(), order, &query.name, &query.machine_id);
    let cursors = Cursors::of(&app.sealer, list);
    let sort = match order_by {
        CustomTemplateOrder::DtCreated => Column::DtCreated,
        CustomTemplateOrder::Name => Column::Name,
    };
    let mut listing = store::listing(&caller.team, query.machine_id.as_ref(), sort);
    listing.order = order;
    listing.limit = query.limit.unwrap_or_default();
    listing.after = query.after.as_deref().map(|cursor| cursors.read(cursor)).transpose()?;
    listing.name = query.name.map(|part| (Column::NameFolded, part));
    let rows = listing.page(app.store.read()).await?;
    let views = Views::now(app).await;
    Ok(rows.page(|next| cursors.write(next), |row| views.shown(row)))
}

/// Orders a template of a machine that is off. The machine's visits make it.
pub async fn create(
    app: &App,
    caller: &Caller,
    wanted: CreateCustomTemplate,
) -> Result<CustomTemplateOrdered> {
    caller.must_be_admin("make templates of machines")?;
    let name = names::checked("name", &wanted.name)?;
    let views = Views::now(app).await;
    let mut tx = app.store.begin().await?;
    let begun = store::in_capture(&*tx, &wanted.machine_id).await?;
    let same = begun.into_iter().find(|row| row.dt_deleted.is_none() && row.name == name);
    let (machine, open) =
        machines::service::capturable(&tx, caller, &wanted.machine_id, same.is_some()).await?;
    if let (Some(event), Some(row)) = (open, same) {
        return Ok(CustomTemplateOrdered { event: machine_events::shown(event), data: views.shown(row) });
    }
    quotas::service::admit(app, &tx, &caller.team, &Noun::CustomTemplates, 1).await?;
    let parent = os_templates::service::find_any(&*tx, &machine.template_id.0).await?;
    let row = store::insert(&*tx, row_of(app, &machine, parent, name)?).await?;
    let event = machines::service::order_capture(app, &mut tx, &machine).await?;
    let ordered = CustomTemplateOrdered { event: machine_events::shown(event), data: views.shown(row) };
    commit_once(app, tx, caller, &ordered).await?;
    Ok(ordered)
}

fn row_of(app: &App, machine: &MachineRow, parent: TemplateRow, name: String) -> Result<Model> {
    let gone = || {
        let (id, label) = (&machine.id.0, &machine.machine_type);
        Error::Precondition(format!(
            "machineId: {id} is a {label}, a type that this server does not offer any more, so the types that a \
             template of it is for are not known; give it another one first: PUT /v1/machines/{id} with machineType"
        ))
    };
    let machine_type = app.catalogue.find(&machine.machine_type).ok_or_else(gone)?;
    let size_bytes = machine.disk_gib.unsigned_abs() * GB;
    Ok(Model {
        id: Text(TemplateId::mint(app.clock.random())),
        team_id: machine.team_id.clone(),
        name_folded: names::folded(&name),
        name,
        agent_type: machine.agent_type.clone(),
        operating_system_label: parent.operating_system_label,
        has_agent: parent.has_agent,
        size_bytes: i64::try_from(size_bytes).unwrap_or(i64::MAX),
        ready: false,
        region: machine.region.clone(),
        parent_machine_id: machine.id.clone(),
        family: machine_type.family.clone(),
        capture: Some(Text(Capture::Wanted)),
        dt_created: app.clock.now().into(),
        dt_deleted: None,
    })
}

/// A team's template.
pub async fn get(app: &App, caller: &Caller, id: &TemplateId) -> Result<CustomTemplate> {
    let row = find(app.store.read(), &caller.team, id).await?;
    Ok(Views::now(app).await.shown(row))
}

/// Renames a template.
pub async fn update(
    app: &App,
    caller: &Caller,
    id: &TemplateId,
    wanted: UpdateCustomTemplate,
) -> Result<CustomTemplate> {
    caller.must_be_admin("change templates")?;
    let name = names::checked("name", &wanted.name)?;
    let views = Views::now(app).await;
    let tx = app.store.begin().await?;
    find(&*tx, &caller.team, id).await?;
    let mut changes = store::changes(id);
    changes.name_folded = Set(names::folded(&name));
    changes.name = Set(name);
    let row = store::change(&*tx, changes).await?;
    tx.commit().await?;
    Ok(views.shown(row))
}

/// Deletes a template. Machines that were made from it, or are being made, keep what they have of it.
pub async fn delete(app: &App, caller: &Caller, id: &TemplateId) -> Result<CustomTemplate> {
    caller.must_be_admin("delete templates")?;
    let views = Views::now(app).await;
    let mut tx = app.store.begin().await?;
    let row = find(&*tx, &caller.team, id).await?;
    if row.capture.is_some() {
        let machine = &row.parent_machine_id.0;
        let event = machine_events::service::open_of(&*tx, machine).await?;
        let event = event.map_or(String::new(), |event| format!("the event {} of ", event.id.0));
        return Err(Error::Conflict(format!(
            "{id} is still being made; wait until {event}{machine} ends, or end it: PATCH /v1/machines/{machine}/stop"
        )));
    }
    let mut changes = store::changes(id);
    changes.dt_deleted = Set(Some(app.clock.now().into()));
    let row = store::change(&*tx, changes).await?;
    tx.wake(Object::CustomTemplate(id.clone()));
    tx.commit().await?;
    Ok(views.shown(row))
}

async fn find(store: &impl ConnectionTrait, team: &TeamId, id: &TemplateId) -> Result<Model> {
    let row = store::find(store, team, id).await?;
    row.ok_or_else(|| Error::no_such("custom template", id))
}

/// The custom template that a request for a machine names in `templateId`, where it is one of the team's: it is
/// ready, in the machine's region, and lists the machine's type.
pub async fn for_machine(
    app: &App,
    tx: &Tx,
    team: &TeamId,
    id: &TemplateId,
    region: &str,
    machine_type: &Type,
) -> Result<Option<TemplateRow>> {
    let Some(row) = store::find(&**tx, team, id).await? else { return Ok(None) };
    if row.capture.is_some() {
        let machine = &row.parent_machine_id.0;
        return Err(Error::Precondition(format!(
            "templateId: {id} is still being made of {machine}; wait until its event ends"
        )));
    }
    if row.region != region {
        let here = &row.region;
        return Err(Error::field(
            "templateId",
            format!(
                "{id} is in the region {here}, the machine in {region}; a custom template stays in its region"
            ),
        ));
    }
    if machine_type.family != row.family {
        let (wanted, family) = (&machine_type.label, &row.family);
        let listed: Vec<_> = listed(&app.catalogue, &row).map(|one| one.label.as_str()).collect();
        return Err(Error::Precondition(format!(
            "machineType: {wanted} is not of the family {family} that {id} was made in; choose one of {}",
            listed.join(", ")
        )));
    }
    os_templates::service::find_any(&**tx, id).await.map(Some)
}

/// The machine types that a template lists: those of its family that its region offers.
fn listed<'a>(catalogue: &'a Catalogue, row: &'a Model) -> impl Iterator<Item = &'a Type> {
    let of_family = catalogue.types().iter().filter(|machine_type| machine_type.family == row.family);
    of_family.filter(|machine_type| machine_type.is_in(&row.region))
}

/// How many templates a team has.
pub async fn count(store: &impl ConnectionTrait, team: &TeamId) -> Result<u64> {
    Ok(store::count(store, team).await?)
}

/// The deleted templates whose images may still be there.
pub async fn to_visit(app: &App) -> Result<Vec<TemplateId>> {
    Ok(store::to_remove(app.store.read()).await?)
}

/// The templates that may have an image on a host.
pub async fn on_hosts(app: &App) -> Result<Vec<TemplateId>> {
    Ok(store::on_hosts(app.store.read()).await?)
}

/// What templates are shown with: the machine types, and the room that there is for them.
struct Views<'a> {
    app: &'a App,
    rooms: machines::service::Rooms,
}

impl<'a> Views<'a> {
    /// With the room that there is now. It asks hosts, so it comes before a transaction. On hosts that do not
    /// answer nothing is available.
    async fn now(app: &'a App) -> Self {
        let rooms = machines::service::rooms(app).await.unwrap_or_else(|error| {
            tracing::warn!(error = chain(&error), "templates are shown without the room that there is");
            Vec::new()
        });
        Self { app, rooms }
    }

    fn shown(&self, row: Model) -> CustomTemplate {
        let available = |machine_type: &Type| AvailableMachineType {
            machine_type_label: machine_type.label.clone(),
            is_available: self
                .rooms
                .iter()
                .any(|(region, room)| *region == row.region && room.short_of(machine_type).is_none()),
        };
        let available_machine_types = listed(&self.app.catalogue, &row).map(available).collect();
        CustomTemplate {
            id: row.id.0,
            name: row.name,
            agent_type: row.agent_type,
            operating_system_label: row.operating_system_label,
            region: Region(row.region),
            default_size_gb: SizeGb(row.size_bytes.unsigned_abs().div_ceil(GB) as f64),
            available_machine_types,
            parent_machine_id: row.parent_machine_id.0,
            dt_created: row.dt_created.into(),
            dt_deleted: row.dt_deleted.map(|moment| Some(moment.into())),
        }
    }
}
