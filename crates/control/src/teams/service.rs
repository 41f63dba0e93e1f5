//! The rules of teams, members and keys.

use std::collections::BTreeMap;

use deckle_api::admin::{
    ApiKey, CreateApiKey, CreateTeam, Member, Role, SetLimits, SetMember, SetSpendCap, SpendCap, Team,
};
use deckle_api::ids::{ApiKeyId, TeamId, UserId};
use sea_orm::ActiveValue::Set;
use sea_orm::ConnectionTrait;

use super::store::{self, api_keys, teams, users};
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::Caller;
use crate::store::{Text, Tx};
use crate::{names, quotas, usage};

/// How many hexadecimal digits a key has: 256 random bits.
const KEY_CHARS: usize = 64;
/// The longest namespace.
const NAMESPACE_CHARS_MAX: usize = 39;
/// What a key may be made for.
const SCOPES: [&str; 6] = ["read:all", "write:all", "read:vm", "write:vm", "read:network", "write:network"];

/// The caller that a key stands for.
pub async fn caller(app: &App, key: &str) -> Result<Option<Caller>> {
    if key.len() != KEY_CHARS {
        return Ok(None);
    }
    let Some(row) = store::find_key(app.store.read(), &hash(key)).await? else { return Ok(None) };
    standing_for(app, row).await
}

/// The caller that the key with an id stands for.
pub async fn caller_of(app: &App, id: &ApiKeyId) -> Result<Option<Caller>> {
    let Some(row) = store::find_key_of(app.store.read(), id).await? else { return Ok(None) };
    standing_for(app, row).await
}

async fn standing_for(app: &App, row: api_keys::Model) -> Result<Option<Caller>> {
    let Some(role) = store::role(app.store.read(), &row.team_id.0, &row.user_id.0).await? else {
        return Ok(None);
    };
    let scopes = row.scopes.0;
    Ok(Some(Caller { api_key: row.id.0, team: row.team_id.0, user: row.user_id.0, role, scopes, once: None }))
}

fn hash(key: &str) -> String {
    blake3::hash(key.as_bytes()).to_hex().to_string()
}

/// Makes a team and its owner.
pub async fn create(app: &App, wanted: CreateTeam) -> Result<Team> {
    let name = names::checked("name", &wanted.name)?;
    let email = checked_email("ownerEmail", &wanted.owner_email)?;
    let id = TeamId::mint(app.clock.random());
    let namespace = wanted.namespace.unwrap_or_else(|| namespace_from(&name, &id));
    check_namespace(&namespace)?;
    let tx = app.store.begin().await?;
    if store::namespace_taken(&*tx, &namespace).await? {
        return Err(Error::Conflict(format!("namespace: `{namespace}` is taken; choose another one")));
    }
    let owner = user(app, &tx, &email).await?;
    let team = teams::ActiveModel {
        id: Set(Text(id)),
        number: Set(store::next_team_number(&*tx).await?),
        name: Set(name),
        namespace: Set(namespace),
        dt_created: Set(app.clock.now().into()),
    };
    let team = store::insert_team(&*tx, team).await?;
    store::set_member(&*tx, &team.id.0, &owner.id.0, Role::Owner).await?;
    let team = shown(app, &tx, team).await?;
    tx.commit().await?;
    Ok(team)
}

/// The user with that mail address, made if there is none.
async fn user(app: &App, tx: &Tx, email: &str) -> Result<users::Model> {
    if let Some(user) = store::find_email(&**tx, email).await? {
        return Ok(user);
    }
    let user = users::ActiveModel {
        id: Set(Text(UserId::mint(app.clock.random()))),
        number: Set(store::next_user_number(&**tx).await?),
        email: Set(email.to_owned()),
        dt_created: Set(app.clock.now().into()),
    };
    Ok(store::insert_user(&**tx, user).await?)
}

/// All teams.
pub async fn list(app: &App) -> Result<Vec<Team>> {
    let tx = app.store.begin().await?;
    let mut teams = Vec::new();
    for team in store::all_teams(&*tx).await? {
        teams.push(shown(app, &tx, team).await?);
    }
    Ok(teams)
}

async fn shown(app: &App, tx: &Tx, team: teams::Model) -> Result<Team> {
    let members = store::members_of(&**tx, &team.id.0).await?;
    let member = |(member, user): (store::members::Model, users::Model)| Member {
        user_id: user.id.0,
        email: user.email,
        role: member.role.0,
    };
    let limits = quotas::service::limits(app, &**tx, &team.id.0).await?;
    let caps = caps(app, tx, &team.id.0).await?;
    Ok(Team {
        id: team.id.0,
        name: team.name,
        namespace: team.namespace,
        dt_created: team.dt_created.into(),
        members: members.into_iter().map(member).collect(),
        limits,
        caps,
    })
}

/// The spend caps of a team, and of users in it.
async fn caps(app: &App, tx: &Tx, team: &TeamId) -> Result<Vec<SpendCap>> {
    let mut shown = Vec::new();
    for cap in usage::service::caps(app, &**tx, team).await? {
        let email = match &cap.user {
            Some(user) => Some(email_of(&**tx, user).await?),
            None => None,
        };
        shown.push(SpendCap { email, amount: cap.amount, spent: cap.spent });
    }
    Ok(shown)
}

/// Sets or lifts the spend cap of a team, or of a user in it.
pub async fn set_cap(app: &App, team: &TeamId, wanted: SetSpendCap) -> Result<Team> {
    let tx = app.store.begin().await?;
    let row = store::find_team(&*tx, team).await?.ok_or_else(|| Error::no_such("team", team))?;
    let user = match &wanted.email {
        Some(email) => Some(member_of(&tx, team, &checked_email("email", email)?).await?),
        None => None,
    };
    usage::service::set_cap(&tx, team, user.as_ref(), wanted.amount.as_deref()).await?;
    let team = shown(app, &tx, row).await?;
    tx.commit().await?;
    Ok(team)
}

/// The member of a team with that mail address.
async fn member_of(tx: &Tx, team: &TeamId, email: &str) -> Result<UserId> {
    if let Some(user) = store::find_email(&**tx, email).await?
        && store::role(&**tx, team, &user.id.0).await?.is_some()
    {
        return Ok(user.id.0);
    }
    Err(Error::NotFound(format!("email: {email} is not in the team {team}")))
}

/// Sets or lifts limits of a team.
pub async fn set_limits(app: &App, team: &TeamId, wanted: SetLimits) -> Result<Team> {
    let tx = app.store.begin().await?;
    let row = store::find_team(&*tx, team).await?.ok_or_else(|| Error::no_such("team", team))?;
    quotas::service::set(app, &tx, team, wanted).await?;
    let team = shown(app, &tx, row).await?;
    tx.commit().await?;
    Ok(team)
}

/// Puts a user into a team, or gives it another role there. The owner stays the owner.
pub async fn set_member(app: &App, team: &TeamId, wanted: SetMember) -> Result<Member> {
    let email = checked_email("email", &wanted.email)?;
    if wanted.role == Role::Owner {
        return Err(Error::field(
            "role",
            "expected `member` or `admin`: a team has one owner, from its start on",
        ));
    }
    let tx = app.store.begin().await?;
    store::find_team(&*tx, team).await?.ok_or_else(|| Error::no_such("team", team))?;
    let user = user(app, &tx, &email).await?;
    if store::role(&*tx, team, &user.id.0).await? == Some(Role::Owner) {
        return Err(Error::Precondition(format!("{email} owns the team and stays its owner")));
    }
    store::set_member(&*tx, team, &user.id.0, wanted.role).await?;
    tx.commit().await?;
    Ok(Member { user_id: user.id.0, email, role: wanted.role })
}

/// Takes a user out of a team. Its keys for the team, and its access to machines of the team, end at once.
pub async fn remove_member(app: &App, team: &TeamId, user: &UserId) -> Result<Team> {
    let tx = app.store.begin().await?;
    let row = store::find_team(&*tx, team).await?.ok_or_else(|| Error::no_such("team", team))?;
    match store::role(&*tx, team, user).await? {
        None => return Err(Error::no_such("member", user)),
        Some(Role::Owner) => {
            return Err(Error::Precondition(format!("{user} owns the team and cannot leave it")));
        }
        Some(_) => store::delete_member(&*tx, team, user).await?,
    }
    let team = shown(app, &tx, row).await?;
    tx.commit().await?;
    Ok(team)
}

/// Whether a user is in a team.
pub async fn is_member(store: &impl ConnectionTrait, team: &TeamId, user: &UserId) -> Result<bool> {
    Ok(store::role(store, team, user).await?.is_some())
}

/// The mail address of a user.
pub async fn email_of(store: &impl ConnectionTrait, user: &UserId) -> Result<String> {
    let found = store::find_user(store, user).await?;
    Ok(found.map_or_else(|| user.to_string(), |found| found.email))
}

/// The mail addresses of users.
pub async fn emails_of(store: &impl ConnectionTrait, users: &[UserId]) -> Result<BTreeMap<UserId, String>> {
    let users = store::find_users(store, users).await?;
    Ok(users.into_iter().map(|user| (user.id.0, user.email)).collect())
}

/// Makes a key for a member of a team. The answer is the only place where the key itself is shown.
pub async fn create_key(app: &App, wanted: CreateApiKey) -> Result<ApiKey> {
    let name = names::checked("name", &wanted.name)?;
    let scopes = wanted.scopes.unwrap_or_default();
    if let Some(unknown) = scopes.iter().find(|scope| !SCOPES.contains(&scope.as_str())) {
        return Err(Error::field("scopes", format!("`{unknown}` is none of {}", SCOPES.join(", "))));
    }
    let tx = app.store.begin().await?;
    let user = store::find_email(&*tx, &wanted.email).await?;
    let user = user.ok_or_else(|| Error::no_such("user", &wanted.email))?.id;
    if store::role(&*tx, &wanted.team_id, &user.0).await?.is_none() {
        return Err(Error::NotFound(format!("{} is not in the team {}", wanted.email, wanted.team_id)));
    }
    let key: String = (0..KEY_CHARS / 16).map(|_| format!("{:016x}", app.clock.random())).collect();
    let row = api_keys::ActiveModel {
        id: Set(Text(ApiKeyId::mint(app.clock.random()))),
        hash: Set(hash(&key)),
        team_id: Set(Text(wanted.team_id)),
        user_id: Set(user),
        name: Set(name),
        scopes: Set(Text(scopes)),
        dt_created: Set(app.clock.now().into()),
    };
    let row = store::insert_key(&*tx, row).await?;
    tx.commit().await?;
    Ok(ApiKey { key: Some(key), ..shown_key(row) })
}

fn shown_key(row: api_keys::Model) -> ApiKey {
    ApiKey {
        id: row.id.0,
        name: row.name,
        team_id: row.team_id.0,
        user_id: row.user_id.0,
        scopes: row.scopes.0,
        dt_created: row.dt_created.into(),
        key: None,
    }
}

/// All keys, without their texts.
pub async fn list_keys(app: &App) -> Result<Vec<ApiKey>> {
    Ok(store::all_keys(app.store.read()).await?.into_iter().map(shown_key).collect())
}

/// Ends a key.
pub async fn delete_key(app: &App, id: &ApiKeyId) -> Result<()> {
    let tx = app.store.begin().await?;
    if !store::delete_key(&*tx, id).await? {
        return Err(Error::no_such("API key", id));
    }
    tx.commit().await?;
    Ok(())
}

/// A user with its places in teams.
pub async fn user_of(app: &App, id: &UserId) -> Result<Option<(users::Model, Vec<(Role, teams::Model)>)>> {
    let Some(user) = store::find_user(app.store.read(), id).await? else { return Ok(None) };
    let teams = store::teams_of(app.store.read(), id).await?;
    Ok(Some((user, teams.into_iter().map(|(member, team)| (member.role.0, team)).collect())))
}

fn checked_email(field: &str, email: &str) -> Result<String> {
    let email = email.trim().to_lowercase();
    let wrong = || Error::field(field, "expected a mail address of at most 254 characters");
    let (name, host) = email.split_once('@').ok_or_else(wrong)?;
    let right =
        !name.is_empty() && !host.is_empty() && email.len() <= 254 && !email.contains(char::is_whitespace);
    right.then_some(email.clone()).ok_or_else(wrong)
}

fn check_namespace(namespace: &str) -> Result<()> {
    let words = namespace
        .split('-')
        .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
    if words && namespace.len() <= NAMESPACE_CHARS_MAX {
        return Ok(());
    }
    let expected = format!(
        "expected lower-case letters, digits and single hyphens inside, at most {NAMESPACE_CHARS_MAX}"
    );
    Err(Error::field("namespace", expected))
}

/// The words of a team's name, or its id where the name has none that a namespace can have.
fn namespace_from(name: &str, id: &TeamId) -> String {
    let folded = name.to_lowercase();
    let words: Vec<_> =
        folded.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let joined: String = words.join("-").chars().take(NAMESPACE_CHARS_MAX).collect();
    if joined.is_empty() { id.to_string() } else { joined.trim_end_matches('-').to_owned() }
}
