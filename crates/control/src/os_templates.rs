//! Templates of operating systems: what machines' disks begin as. An operator takes them in.

use axum::extract::State;
use deckle_api::ids::TemplateId;
use deckle_api::os_templates::{
    AgentType, AvailableMachineType, ListOsTemplates, OsTemplate, OsTemplateOrder,
};
use deckle_api::paging::Page;
use deckle_api::sizes::{GB, SizeGb};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::http::openapi::Failure;
use crate::http::{Answer, Query, show};

pub use store::Model as TemplateRow;

/// The paths of templates. They need no key.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// List templates of operating systems
#[utoipa::path(get, path = "/os-templates", operation_id = "osTemplates-list", tag = "OS Templates",
    params(ListOsTemplates),
    responses((status = 200, description = "Successful response", body = Page<OsTemplate>), Failure))]
async fn list(State(app): State<App>, Query(query): Query<ListOsTemplates>) -> Answer<Page<OsTemplate>> {
    show(service::list(&app, query).await?)
}

fn shown(row: TemplateRow, machine_types: &[AvailableMachineType]) -> OsTemplate {
    let size_gb = row.size_bytes.unsigned_abs().div_ceil(GB);
    OsTemplate {
        id: row.id.0,
        name: row.name,
        agent_type: row.agent_type,
        operating_system_label: row.operating_system_label,
        default_size_gb: Some(SizeGb(size_gb as f64)),
        available_machine_types: machine_types.to_vec(),
        dt_created: row.dt_created.into(),
    }
}

/// The rules of templates.
pub mod service {
    use deckle_api::admin::{ImportTemplate, Template};
    use deckle_engine::specs::TemplateSpec;
    use sea_orm::ConnectionTrait;

    use super::*;
    use crate::catalogue::Type;
    use crate::error::{Error, Result, chain};
    use crate::store::{Cursors, Text};
    use crate::{machines, names};

    pub(super) async fn list(app: &App, query: ListOsTemplates) -> Result<Page<OsTemplate>> {
        let OsTemplateOrder::Name = query.order_by.unwrap_or_default();
        let order = query.order.unwrap_or_default();
        let cursors = Cursors::of(&app.sealer, ("os-templates", order, &query.name));
        let mut listing = store::listing();
        listing.order = order;
        listing.limit = query.limit.unwrap_or_default();
        listing.after = query.after.as_deref().map(|cursor| cursors.read(cursor)).transpose()?;
        listing.name = query.name.map(|part| (store::Column::NameFolded, part));
        let rows = listing.page(app.store.read()).await?;
        let machine_types = machine_types(app).await?;
        Ok(rows.page(|next| cursors.write(next), |row| shown(row, &machine_types)))
    }

    /// All machine types, and whether there is room for one somewhere.
    async fn machine_types(app: &App) -> Result<Vec<AvailableMachineType>> {
        let rooms = machines::service::rooms(app).await?;
        let available = |machine_type: &Type| AvailableMachineType {
            machine_type_label: machine_type.label.clone(),
            is_available: rooms
                .iter()
                .any(|(region, room)| machine_type.is_in(region) && room.short_of(machine_type).is_none()),
        };
        Ok(app.catalogue.types().iter().map(available).collect())
    }

    /// A template that machines can be made from, named by a request's `templateId`.
    pub async fn find(store: &impl ConnectionTrait, id: &TemplateId) -> Result<TemplateRow> {
        let row = store::find_own(store, id).await?.filter(|row| row.ready && row.dt_deleted.is_none());
        row.ok_or_else(|| {
            Error::NotFound(format!(
                "templateId: there is no template {id}; GET /v1/os-templates and GET /v1/custom-templates list them"
            ))
        })
    }

    /// What a disk began as, whoever made the template, and also where it is deleted.
    pub async fn find_any(store: &impl ConnectionTrait, id: &TemplateId) -> Result<TemplateRow> {
        store::find(store, id).await?.ok_or_else(|| Error::no_such("template", id))
    }

    /// Whether the guests of a template of either kind have an agent, also of one that is deleted.
    pub async fn has_agent(store: &impl ConnectionTrait, id: &TemplateId) -> Result<bool> {
        Ok(store::find(store, id).await?.is_none_or(|row| row.has_agent))
    }

    /// All templates as an operator sees them.
    pub async fn all(app: &App) -> Result<Vec<Template>> {
        let shown = |row: TemplateRow| Template {
            has_agent: row.has_agent,
            size_bytes: row.size_bytes.unsigned_abs(),
            template: shown(row, &[]),
        };
        Ok(store::all(app.store.read()).await?.into_iter().map(shown).collect())
    }

    /// Takes an image file in as a template. Its row is there, unready, before its image: a crash leaves a
    /// row to clear away, never an image that no row explains.
    pub async fn import(app: &App, wanted: ImportTemplate) -> Result<Template> {
        let name = names::checked("name", &wanted.name)?;
        let label = wanted.operating_system_label.unwrap_or_else(|| name.clone());
        let id = wanted.id.unwrap_or_else(|| TemplateId::mint(app.clock.random()));
        let file = wanted
            .file
            .canonicalize()
            .map_err(|error| Error::field("file", format!("cannot be opened: {error}")))?;
        let row = TemplateRow {
            id: Text(id.clone()),
            name_folded: names::folded(&name),
            name,
            agent_type: wanted.agent_type.unwrap_or_default().word().to_owned(),
            operating_system_label: names::checked("operatingSystemLabel", &label)?,
            has_agent: wanted.has_agent.unwrap_or(true),
            size_bytes: 0,
            ready: false,
            dt_created: app.clock.now().into(),
            dt_deleted: None,
        };
        let tx = app.store.begin().await?;
        if store::find(&*tx, &id).await?.is_some() {
            return Err(Error::Conflict(format!(
                "id: the id {id} is or was a template's; leave it out to get a new one"
            )));
        }
        let row = store::insert(&*tx, row).await?;
        tx.commit().await?;
        match take_in(app, TemplateSpec { id, file, size_bytes_max: app.config.limits.template_gib * GB })
            .await
        {
            Ok(size_bytes) => ready(app, row, size_bytes).await,
            Err(error) => {
                if let Err(left) = clear(app, &row).await {
                    tracing::error!(template.id = %row.id.0, error = chain(&left), "a failed import is not cleared away; the next start tries again");
                }
                Err(error)
            }
        }
    }

    /// Takes the image in on every host.
    async fn take_in(app: &App, spec: TemplateSpec) -> Result<i64> {
        let mut size_bytes = 0;
        for engine in app.engines() {
            let refused = |fault: deckle_engine::Error| match fault.is_final() {
                true => Error::Precondition(fault.told()),
                false => Error::ours(format!("take in {}", spec.file.display()), fault),
            };
            size_bytes = engine.ensure_template(&spec).await.map_err(refused)?.size_bytes;
        }
        Ok(i64::try_from(size_bytes).unwrap_or(i64::MAX))
    }

    async fn ready(app: &App, row: TemplateRow, size_bytes: i64) -> Result<Template> {
        let tx = app.store.begin().await?;
        let row = store::ready(&*tx, &row.id.0, size_bytes).await?;
        tx.commit().await?;
        let has_agent = row.has_agent;
        Ok(Template { template: shown(row, &[]), has_agent, size_bytes: size_bytes.unsigned_abs() })
    }

    async fn clear(app: &App, row: &TemplateRow) -> Result<()> {
        for engine in app.engines() {
            let failed = |fault| Error::ours(format!("remove the image of {}", row.id.0), fault);
            engine.remove_template(&row.id.0).await.map_err(failed)?;
        }
        let tx = app.store.begin().await?;
        store::delete(&*tx, &row.id.0).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Clears away what imports and deletions left that a crash interrupted: at the start of a server, which
    /// goes on where its host does not let it.
    pub async fn clear_left(app: &App) -> Result<()> {
        for row in store::unready(app.store.read()).await? {
            tracing::warn!(template.id = %row.id.0, "an import was interrupted; import the file again");
            if let Err(error) = clear(app, &row).await {
                tracing::error!(template.id = %row.id.0, error = chain(&error), "it is not cleared away");
            }
        }
        for row in store::half_deleted(app.store.read()).await? {
            if let Err(error) = remove_image(app, &row.id.0).await {
                tracing::error!(template.id = %row.id.0, error = chain(&error), "a deleted template's image stays");
            }
        }
        Ok(())
    }

    /// Deletes a template. Machines made from it keep working: their disks hold on to its image. Where its
    /// image could not be removed, it can be deleted again.
    pub async fn delete(app: &App, id: &TemplateId) -> Result<()> {
        let tx = app.store.begin().await?;
        let row = store::find_own(&*tx, id).await?.filter(|row| row.ready);
        let row = row.ok_or_else(|| Error::no_such("template", id))?;
        if row.dt_deleted.is_none() {
            store::mark_deleted(&*tx, id, app.clock.now()).await?;
        }
        tx.commit().await?;
        remove_image(app, id).await
    }

    /// Removes a deleted template's image from every host, and writes down that it is gone.
    async fn remove_image(app: &App, id: &TemplateId) -> Result<()> {
        for engine in app.engines() {
            let failed = |fault| Error::ours(format!("remove the image of {id}"), fault);
            engine.remove_template(id).await.map_err(failed)?;
        }
        let tx = app.store.begin().await?;
        store::mark_gone(&*tx, id).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Makes rows of the templates that a host has from its start: an emulator's.
    pub async fn adopt(app: &App, templates: &[(TemplateId, &str, u64)]) -> Result<()> {
        let tx = app.store.begin().await?;
        for (id, name, size_bytes) in templates {
            if store::find(&*tx, id).await?.is_some() {
                continue;
            }
            let row = TemplateRow {
                id: Text(id.clone()),
                name: (*name).to_owned(),
                name_folded: names::folded(name),
                agent_type: AgentType::default().word().to_owned(),
                operating_system_label: (*name).to_owned(),
                has_agent: true,
                size_bytes: i64::try_from(*size_bytes).unwrap_or(i64::MAX),
                ready: true,
                dt_created: app.clock.now().into(),
                dt_deleted: None,
            };
            store::insert(&*tx, row).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

mod store {
    use deckle_api::Timestamp;
    use sea_orm::ActiveValue::{Set, Unchanged};
    use sea_orm::entity::prelude::*;
    use sea_orm::{IntoActiveModel, Order, QueryOrder};

    use super::*;
    use crate::store::{Listing, Micros, Text};

    /// What a template of either kind is. One that has a team is a custom one, whose other columns are that
    /// noun's.
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "templates")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Text<TemplateId>,
        pub name: String,
        pub name_folded: String,
        pub agent_type: String,
        pub operating_system_label: String,
        pub has_agent: bool,
        pub size_bytes: i64,
        pub ready: bool,
        pub dt_created: Micros,
        pub dt_deleted: Option<Micros>,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    /// The condition of the index over the templates that can be used, in its own words.
    fn usable() -> Expr {
        Expr::cust("team_id IS NULL AND dt_deleted IS NULL AND ready")
    }

    /// Of no team: of an operating system.
    fn of_nobody() -> Expr {
        Expr::cust("team_id IS NULL")
    }

    pub fn listing() -> Listing<Entity> {
        Listing::of(Entity::find().filter(usable()), Column::Name, Column::Id)
    }

    pub async fn all(store: &impl ConnectionTrait) -> Result<Vec<Model>, DbErr> {
        Entity::find().filter(usable()).order_by(Column::Name, Order::Asc).all(store).await
    }

    pub async fn unready(store: &impl ConnectionTrait) -> Result<Vec<Model>, DbErr> {
        Entity::find()
            .filter(Expr::cust("dt_deleted IS NULL AND NOT ready"))
            .filter(of_nobody())
            .all(store)
            .await
    }

    /// Deleted, with an image that may still be there.
    pub async fn half_deleted(store: &impl ConnectionTrait) -> Result<Vec<Model>, DbErr> {
        Entity::find()
            .filter(Expr::cust("dt_deleted IS NOT NULL AND ready"))
            .filter(of_nobody())
            .all(store)
            .await
    }

    pub async fn mark_gone(store: &impl ConnectionTrait, id: &TemplateId) -> Result<(), DbErr> {
        let id = Unchanged(Text(id.clone()));
        let gone = ActiveModel { id, ready: Set(false), ..Default::default() };
        Entity::update(gone).exec(store).await.map(drop)
    }

    /// A template of either kind.
    pub async fn find(store: &impl ConnectionTrait, id: &TemplateId) -> Result<Option<Model>, DbErr> {
        Entity::find_by_id(Text(id.clone())).one(store).await
    }

    /// A template of an operating system.
    pub async fn find_own(store: &impl ConnectionTrait, id: &TemplateId) -> Result<Option<Model>, DbErr> {
        Entity::find_by_id(Text(id.clone())).filter(of_nobody()).one(store).await
    }

    pub async fn insert(store: &impl ConnectionTrait, row: Model) -> Result<Model, DbErr> {
        Entity::insert(row.into_active_model().reset_all()).exec_with_returning(store).await
    }

    pub async fn ready(
        store: &impl ConnectionTrait,
        id: &TemplateId,
        size_bytes: i64,
    ) -> Result<Model, DbErr> {
        let id = Unchanged(Text(id.clone()));
        let ready = ActiveModel { id, size_bytes: Set(size_bytes), ready: Set(true), ..Default::default() };
        Entity::update(ready).exec(store).await
    }

    pub async fn mark_deleted(
        store: &impl ConnectionTrait,
        id: &TemplateId,
        now: Timestamp,
    ) -> Result<(), DbErr> {
        let id = Unchanged(Text(id.clone()));
        let deleted = ActiveModel { id, dt_deleted: Set(Some(now.into())), ..Default::default() };
        Entity::update(deleted).exec(store).await.map(drop)
    }

    pub async fn delete(store: &impl ConnectionTrait, id: &TemplateId) -> Result<(), DbErr> {
        Entity::delete_by_id(Text(id.clone())).exec(store).await.map(drop)
    }
}
