//! Spend caps: what a team, and a user in it, may spend in a calendar month (UTC). Off unless the operator sets
//! one.
//!
//! What a month came to so far is the sum of its closed intervals, which is kept, and of the open ones, which are
//! read: a capped team pays for a create or a start with one row a user and one row an open interval.

use deckle_api::Timestamp;
use deckle_api::ids::{TeamId, UserId};
use sea_orm::ConnectionTrait;

use super::super::amounts::Amount;
use super::super::store::{caps as store, months};
use super::{Part, each, records_of};
use crate::app::App;
use crate::error::{Error, Result};
use crate::store::Tx;
use crate::teams;

/// A spend cap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cap {
    /// The user that it is for; none where it is the whole team's.
    pub user: Option<UserId>,
    /// What may be spent in a month, in currency units, as a decimal number.
    pub amount: String,
    /// What is spent so far this month.
    pub spent: String,
}

/// Refuses what would begin to cost where this month's spend has reached a cap of the team, or of the user who
/// owns it. To be called in the transaction that makes or starts it.
pub async fn admit(app: &App, tx: &Tx, team: &TeamId, user: &UserId) -> Result<()> {
    let now = app.clock.now();
    for cap in store::holding_for(&**tx, team, user).await? {
        let capped = cap.user();
        let spent = spent(&**tx, team, capped.as_ref(), now).await?;
        if spent < cap.amount() {
            continue;
        }
        let who = match &capped {
            None => "the team".to_owned(),
            Some(user) => teams::service::email_of(&**tx, user).await?,
        };
        let (cap, next) = (cap.amount(), now.next_month_start());
        return Err(Error::Precondition(format!(
            "spend cap: {who} has spent {spent} this month and may spend {cap}; what runs goes on, and creates and \
             starts are possible again from {next} on, or once the operator of this server raises the cap"
        )));
    }
    Ok(())
}

/// The caps of a team and of users in it.
pub async fn caps(app: &App, store: &impl ConnectionTrait, team: &TeamId) -> Result<Vec<Cap>> {
    let now = app.clock.now();
    let mut caps = Vec::new();
    for cap in store::of_team(store, team).await? {
        let user = cap.user();
        let spent = spent(store, team, user.as_ref(), now).await?;
        caps.push(Cap { user, amount: cap.amount().to_string(), spent: spent.to_string() });
    }
    Ok(caps)
}

/// Sets a cap of a team or of a user in it, or lifts it.
pub async fn set_cap(tx: &Tx, team: &TeamId, user: Option<&UserId>, amount: Option<&str>) -> Result<()> {
    let amount = amount.map(str::parse).transpose().map_err(|wrong: String| Error::field("amount", wrong))?;
    Ok(store::set(&**tx, team, user, amount).await?)
}

/// What a team, or a user in it, has spent since the month began.
async fn spent(
    store: &impl ConnectionTrait,
    team: &TeamId,
    user: Option<&UserId>,
    now: Timestamp,
) -> Result<Amount> {
    let month = now.month_start();
    let mut spent = months::spent(store, team, user, month).await?;
    // All that is closed by now is in that sum.
    let mut room = u64::MAX;
    each(store, &records_of(team, user), (month, now), Part::Open, &mut room, |record| {
        let from = now.min(record.dt_from.into()).max(month).whole_seconds();
        spent += record.rate().between(from, now.whole_seconds());
    })
    .await?;
    Ok(spent)
}
