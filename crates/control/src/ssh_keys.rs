//! SSH keys: a user's own, put into the machines that the user makes.
//!
//! Beyond the reference: the hosted service keeps them in its console only.

use axum::extract::State;
use deckle_api::ids::{SshKeyId, UserId};
use deckle_api::paging::Page;
use deckle_api::ssh_keys::{CreateSshKey, ListSshKeys, SshKey, SshKeyOrder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::http::openapi::Failure;
use crate::http::{Answer, Body, Caller, Ignored, Path, Query, show};

/// The longest key, in bytes: an RSA key of 16384 bits and its comment.
const KEY_BYTES_MAX: usize = 4096;
/// How many keys a user may have.
const KEYS_MAX: u64 = 100;

/// The paths of SSH keys.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(delete))
}

/// List one's own SSH keys
#[utoipa::path(get, path = "/ssh-keys", operation_id = "sshKeys-list", tag = "Beyond the reference",
    params(ListSshKeys), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = Page<SshKey>), Failure))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListSshKeys>,
) -> Answer<Page<SshKey>> {
    show(service::list(&app, &caller, query).await?)
}

/// Add an SSH key to one's own
#[utoipa::path(post, path = "/ssh-keys", operation_id = "sshKeys-create", tag = "Beyond the reference",
    request_body = CreateSshKey, security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = SshKey), Failure))]
async fn create(State(app): State<App>, caller: Caller, Body(wanted): Body<CreateSshKey>) -> Answer<SshKey> {
    show(service::create(&app, &caller, wanted).await?)
}

/// Delete one of one's own SSH keys
#[utoipa::path(delete, path = "/ssh-keys/{id}", operation_id = "sshKeys-delete", tag = "Beyond the reference",
    params(("id" = SshKeyId, Path)), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = SshKey), Failure))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<SshKeyId>,
    _: Ignored,
) -> Answer<SshKey> {
    show(service::delete(&app, &caller, &id).await?)
}

fn shown(row: store::Model) -> SshKey {
    SshKey { id: row.id.0, name: row.name, public_key: row.public_key, dt_created: row.dt_created.into() }
}

/// The rules of SSH keys.
pub mod service {
    use sea_orm::ConnectionTrait;

    use super::*;
    use crate::error::{Error, Result};
    use crate::idempotency::commit_once;
    use crate::names;
    use crate::store::{Cursors, Text};

    pub(super) async fn list(app: &App, caller: &Caller, query: ListSshKeys) -> Result<Page<SshKey>> {
        let order_by = query.order_by.unwrap_or_default();
        let order = query.order.unwrap_or_default();
        let cursors = Cursors::of(&app.sealer, ("ssh-keys", &caller.user, order_by.word(), order));
        let sort = match order_by {
            SshKeyOrder::DtCreated => store::Column::DtCreated,
            SshKeyOrder::Name => store::Column::Name,
        };
        let mut listing = store::listing(&caller.user, sort);
        listing.order = order;
        listing.limit = query.limit.unwrap_or_default();
        listing.after = query.after.as_deref().map(|cursor| cursors.read(cursor)).transpose()?;
        Ok(listing.page(app.store.read()).await?.page(|next| cursors.write(next), shown))
    }

    pub(super) async fn create(app: &App, caller: &Caller, wanted: CreateSshKey) -> Result<SshKey> {
        let name = names::checked("name", &wanted.name)?;
        let public_key = checked(&wanted.public_key)?;
        let row = store::Model {
            id: Text(SshKeyId::mint(app.clock.random())),
            user_id: Text(caller.user.clone()),
            name,
            public_key,
            dt_created: app.clock.now().into(),
        };
        let tx = app.store.begin().await?;
        if store::of_user(&*tx, &caller.user).await?.len() as u64 >= KEYS_MAX {
            return Err(Error::Precondition(format!(
                "you have {KEYS_MAX} SSH keys, the most that a user may have"
            )));
        }
        let key = shown(store::insert(&*tx, row).await?);
        commit_once(app, tx, caller, &key).await?;
        Ok(key)
    }

    pub(super) async fn delete(app: &App, caller: &Caller, id: &SshKeyId) -> Result<SshKey> {
        let tx = app.store.begin().await?;
        let row = store::find(&*tx, id).await?.filter(|row| row.user_id.0 == caller.user);
        let row = row.ok_or_else(|| Error::no_such("SSH key", id))?;
        store::delete(&*tx, id).await?;
        tx.commit().await?;
        Ok(shown(row))
    }

    /// The lines of a user's keys for an `authorized_keys` file.
    pub async fn lines_of(store: &impl ConnectionTrait, user: &UserId) -> Result<Vec<String>> {
        Ok(store::of_user(store, user).await?.into_iter().map(|key| key.public_key).collect())
    }

    /// One line: a kind that OpenSSH knows, base64 text that begins with the kind's name, and a comment.
    fn checked(line: &str) -> Result<String> {
        let line = line.trim();
        let expected =
            "expected one line of an authorized_keys file, such as the content of ~/.ssh/id_ed25519.pub";
        let wrong = || Error::field("publicKey", expected);
        if line.len() > KEY_BYTES_MAX || line.contains(char::is_control) {
            return Err(wrong());
        }
        let mut words = line.split_ascii_whitespace();
        let (kind, text) = words.next().zip(words.next()).ok_or_else(wrong)?;
        let known = ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-", "sk-ssh-ed25519@", "sk-ecdsa-sha2-"];
        let blob = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, text).map_err(|_| wrong())?;
        let named = blob.get(4..4 + kind.len()) == Some(kind.as_bytes());
        if named && known.iter().any(|known| kind.starts_with(known)) {
            return Ok(line.to_owned());
        }
        Err(wrong())
    }

    #[cfg(test)]
    mod tests {
        use super::checked;

        #[test]
        fn only_public_keys_are_taken() {
            let key =
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBsUtGkq9MTIqFDcJFYVf0cZXJ3mlZ8hVvzXqrF0vYl5 me@here";
            assert_eq!(checked(&format!(" {key}\n")).unwrap(), key);
            for wrong in [
                "",
                "ssh-ed25519",
                "ssh-ed25519 AAAA",
                &key.replace("ssh-ed", "ssh-dd"),
                &format!("{key}\n{key}"),
            ] {
                assert!(checked(wrong).is_err(), "{wrong:?}");
            }
        }
    }
}

mod store {
    use sea_orm::entity::prelude::*;
    use sea_orm::{IntoActiveModel, Order, QueryOrder};

    use super::*;
    use crate::store::{Listing, Micros, Text};

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "ssh_keys")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Text<SshKeyId>,
        pub user_id: Text<UserId>,
        pub name: String,
        pub public_key: String,
        pub dt_created: Micros,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    pub fn listing(user: &UserId, sort: Column) -> Listing<Entity> {
        Listing::of(Entity::find().filter(Column::UserId.eq(user.as_str())), sort, Column::Id)
    }

    pub async fn of_user(store: &impl ConnectionTrait, user: &UserId) -> Result<Vec<Model>, DbErr> {
        let keys = Entity::find().filter(Column::UserId.eq(user.as_str()));
        keys.order_by(Column::DtCreated, Order::Asc).all(store).await
    }

    pub async fn find(store: &impl ConnectionTrait, id: &SshKeyId) -> Result<Option<Model>, DbErr> {
        Entity::find_by_id(Text(id.clone())).one(store).await
    }

    pub async fn insert(store: &impl ConnectionTrait, row: Model) -> Result<Model, DbErr> {
        Entity::insert(row.into_active_model().reset_all()).exec_with_returning(store).await
    }

    pub async fn delete(store: &impl ConnectionTrait, id: &SshKeyId) -> Result<(), DbErr> {
        Entity::delete_by_id(Text(id.clone())).exec(store).await.map(drop)
    }
}
