//! The rules of accessors: who has access to a machine, who gives it, and whose keys open it.

use deckle_api::Timestamp;
use deckle_api::accessors::{AccessorUser, ListAccessors, MachineAccessor};
use deckle_api::admin::Role;
use deckle_api::ids::{MachineId, UserId};
use deckle_api::paging::Page;
use sea_orm::ConnectionTrait;

use super::super::policy::Intent;
use super::super::service as machines;
use super::super::store::Model as Machine;
use super::store;
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::Caller;
use crate::idempotency::commit_once;
use crate::store::{Cursors, Tx};
use crate::{ssh_keys, teams};

/// How many accessors a machine may have: their SSH keys all go into its seed.
const ACCESSORS_MAX: usize = 100;

/// Refuses a plain member that has no access to a machine. `act` is what it wants: "stop".
///
/// All else that changes machines is for administrators: see [`Caller::must_be_admin`].
pub async fn must_have_access(
    store: &impl ConnectionTrait,
    caller: &Caller,
    machine: &Machine,
    act: &str,
) -> Result<()> {
    let (id, user) = (&machine.id.0, &caller.user);
    if caller.role >= Role::Admin || machine.user_id.0 == *user || store::is_one(store, id, user).await? {
        return Ok(());
    }
    Err(Error::Forbidden(format!(
        "only its accessors and administrators of the team may {act} {id}; ask an administrator to add you: \
         deckle machine accessor add {id} {user}"
    )))
}

/// The lines for the `authorized_keys` file of a machine: those of the user that made it, while it is in the
/// team, and of all accessors; each once, in an order that stays.
pub async fn key_lines(store: &impl ConnectionTrait, machine: &Machine) -> Result<Vec<String>> {
    let creator = &machine.user_id.0;
    let mut users = store::users_of(store, &machine.id.0).await?;
    users.retain(|user| user != creator);
    if teams::service::is_member(store, &machine.team_id.0, creator).await? {
        users.insert(0, creator.clone());
    }
    let mut lines: Vec<String> = Vec::new();
    for user in &users {
        for line in ssh_keys::service::lines_of(store, user).await? {
            if !lines.iter().any(|other| key(other) == key(&line)) {
                lines.push(line);
            }
        }
    }
    Ok(lines)
}

/// The kind and the text of a key, without the comment.
fn key(line: &str) -> Vec<&str> {
    line.split_ascii_whitespace().take(2).collect()
}

/// The page of a machine's accessors that a query asks for.
pub async fn list(
    app: &App,
    caller: &Caller,
    id: &MachineId,
    query: ListAccessors,
) -> Result<Page<MachineAccessor>> {
    let store = app.store.read();
    machines::get(store, caller, id).await?;
    let order_by = query.order_by.unwrap_or_default();
    let order = query.order.unwrap_or_default();
    let cursors = Cursors::of(&app.sealer, ("accessors", &caller.team, id, order_by.word(), order));
    let mut listing = store::listing(id);
    listing.order = order;
    listing.limit = query.limit.unwrap_or_default();
    listing.after = query.after.as_deref().map(|cursor| cursors.read(cursor)).transpose()?;
    let page = listing.page(store).await?.page(|next| cursors.write(next), |row| row.user_id.0);
    let mut emails = teams::service::emails_of(store, &page.items).await?;
    let shown = |user: UserId| {
        let email = emails.remove(&user).unwrap_or_default();
        shown(user, email, None)
    };
    let items = page.items.into_iter().map(shown).collect();
    Ok(Page { has_more: page.has_more, next_page: page.next_page, items })
}

/// An accessor of a machine.
pub async fn get(app: &App, caller: &Caller, id: &MachineId, user: &UserId) -> Result<MachineAccessor> {
    machines::get(app.store.read(), caller, id).await?;
    if !store::is_one(app.store.read(), id, user).await? {
        return Err(no_such(id, user));
    }
    told(app.store.read(), user, None).await
}

/// Gives a member of the team access. One that has it keeps it.
pub async fn add(app: &App, caller: &Caller, id: &MachineId, user: &UserId) -> Result<MachineAccessor> {
    caller.must_be_admin("give access to machines")?;
    let tx = app.store.begin().await?;
    let machine = machines::get(&*tx, caller, id).await?;
    if machine.intent.0 == Intent::Gone {
        return Err(Error::Conflict(format!("{id} is being deleted")));
    }
    let has_it = store::users_of(&*tx, id).await?;
    if !has_it.contains(user) {
        insert(&tx, &machine, user, has_it.len(), "userId", app.clock.now()).await?;
    }
    let accessor = told(&*tx, user, None).await?;
    commit_once(app, tx, caller, &accessor).await?;
    Ok(accessor)
}

/// Gives those members of the team access to a machine that is being made. Who is named twice counts once.
pub async fn add_all(tx: &Tx, machine: &Machine, users: &[UserId], now: Timestamp) -> Result<()> {
    let mut has_it: Vec<&UserId> = Vec::new();
    for user in users {
        if !has_it.contains(&user) {
            insert(tx, machine, user, has_it.len(), "accessorIds", now).await?;
            has_it.push(user);
        }
    }
    Ok(())
}

async fn insert(
    tx: &Tx,
    machine: &Machine,
    user: &UserId,
    others: usize,
    field: &str,
    now: Timestamp,
) -> Result<()> {
    let (id, team) = (&machine.id.0, &machine.team_id.0);
    if !teams::service::is_member(&**tx, team, user).await? {
        return Err(Error::NotFound(format!(
            "{field}: {user} is no member of the team; an operator adds members: deckle admin member set"
        )));
    }
    if others >= ACCESSORS_MAX {
        return Err(Error::Precondition(format!(
            "{field}: {id} has {ACCESSORS_MAX} accessors, the most that a machine may have; remove one first"
        )));
    }
    Ok(store::insert(&**tx, id, team, user, now).await?)
}

/// Ends a user's access. Its SSH keys leave the machine at the next power-on.
pub async fn remove(app: &App, caller: &Caller, id: &MachineId, user: &UserId) -> Result<MachineAccessor> {
    caller.must_be_admin("take access to machines")?;
    let tx = app.store.begin().await?;
    machines::get(&*tx, caller, id).await?;
    if !store::delete(&*tx, id, user).await? {
        return Err(no_such(id, user));
    }
    let accessor = told(&*tx, user, Some(app.clock.now())).await?;
    tx.commit().await?;
    Ok(accessor)
}

/// Ends all access to a machine of which nothing is left.
pub async fn forget(tx: &Tx, id: &MachineId) -> Result<()> {
    Ok(store::delete_all(&**tx, id).await?)
}

fn no_such(id: &MachineId, user: &UserId) -> Error {
    Error::NotFound(format!("{user} is no accessor of {id}"))
}

async fn told(
    store: &impl ConnectionTrait,
    user: &UserId,
    dt_deleted: Option<Timestamp>,
) -> Result<MachineAccessor> {
    let email = teams::service::emails_of(store, std::slice::from_ref(user)).await?.remove(user);
    Ok(shown(user.clone(), email.unwrap_or_default(), dt_deleted))
}

fn shown(id: UserId, email: String, dt_deleted: Option<Timestamp>) -> MachineAccessor {
    let user = AccessorUser {
        id,
        email,
        first_name: Some(None),
        last_name: Some(None),
        public_profile_image_url: Some(None),
    };
    MachineAccessor { user, dt_deleted: Some(dt_deleted) }
}
