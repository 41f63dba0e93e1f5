//! The rules of quotas: what other nouns may ask, and what an operator sets.

use deckle_api::admin::{Limit, SetLimits};
use deckle_api::ids::TeamId;
use sea_orm::ConnectionTrait;

use super::{Noun, store};
use crate::app::App;
use crate::error::{Error, Result};
use crate::store::Tx;
use crate::{custom_templates, machines, private_networks, public_ips, shared_drives};

/// Refuses `more` of what a quota counts where the team would then have more than it may. To be called
/// in the transaction that makes them, before it does: what is there is counted here, and only where
/// there is a limit.
pub async fn admit(app: &App, tx: &Tx, team: &TeamId, noun: &Noun, more: u64) -> Result<()> {
    let Some(most) = most(&**tx, team, noun).await? else { return Ok(()) };
    let in_use = in_use(app, &**tx, team, noun).await?;
    if more == 0 || in_use.saturating_add(more) <= most {
        return Ok(());
    }
    let word = noun.word();
    let asked = if more == 1 { String::new() } else { format!(", {more} more asked for") };
    Err(Error::Precondition(format!(
        "{word}: limit {most}, in use {in_use}{asked}; delete one, or ask the operator for more"
    )))
}

/// How many a team may have of what a quota counts; nothing where there is no limit.
pub async fn most(store: &impl ConnectionTrait, team: &TeamId, noun: &Noun) -> Result<Option<u64>> {
    Ok(store::find(store, team, &noun.word()).await?.map(i64::unsigned_abs))
}

/// Whether a team has all that it may have of what a quota counts.
pub async fn is_full(app: &App, store: &impl ConnectionTrait, team: &TeamId, noun: &Noun) -> Result<bool> {
    match most(store, team, noun).await? {
        Some(most) => Ok(in_use(app, store, team, noun).await? >= most),
        None => Ok(false),
    }
}

/// A team's limits, each with what is in use.
pub async fn limits(app: &App, store: &impl ConnectionTrait, team: &TeamId) -> Result<Vec<Limit>> {
    let mut limits = Vec::new();
    for (word, most) in store::of_team(store, team).await? {
        let in_use = match Noun::of(&word, &app.catalogue) {
            Some(noun) => in_use(app, store, team, &noun).await?,
            // The model has left the catalogue, and no machine with it can be made.
            None => 0,
        };
        limits.push(Limit { noun: word, most: most.unsigned_abs(), in_use });
    }
    Ok(limits)
}

/// Sets some of a team's limits, or lifts them. One below what is in use refuses only what is new.
pub async fn set(app: &App, tx: &Tx, team: &TeamId, wanted: SetLimits) -> Result<()> {
    for (word, most) in wanted.limits {
        let Some(noun) = Noun::of(&word, &app.catalogue) else {
            return Err(Error::field(
                format!("limits.{word}"),
                "expected machines, private-networks, public-ips, shared-drives, shared-drives-gb, \
                 custom-templates, or gpus/MODEL with a model of the catalogue",
            ));
        };
        let too_large = || Error::field(format!("limits.{word}"), "expected a smaller number, or null");
        let most = most.map(i64::try_from).transpose().map_err(|_| too_large())?;
        store::set(&**tx, team, &noun.word(), most).await?;
    }
    Ok(())
}

async fn in_use(app: &App, store: &impl ConnectionTrait, team: &TeamId, noun: &Noun) -> Result<u64> {
    match noun {
        Noun::Machines => machines::service::count(store, team).await,
        Noun::PrivateNetworks => private_networks::service::count(store, team).await,
        Noun::PublicIps => public_ips::service::count(store, team).await,
        Noun::SharedDrives => Ok(shared_drives::service::count(store, team).await?.0),
        Noun::SharedDrivesGb => Ok(shared_drives::service::count(store, team).await?.1),
        Noun::CustomTemplates => custom_templates::service::count(store, team).await,
        Noun::Gpus(model) => machines::service::count_gpus(app, store, team, model).await,
    }
}
