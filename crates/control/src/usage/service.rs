//! The rules of usage: who may see which, and how intervals become answers.

mod caps;
mod tally;

use deckle_api::Timestamp;
use deckle_api::admin::Role;
use deckle_api::ids::{TeamId, UserId};
use deckle_api::usage::{Usage, UsageQuery};
use sea_orm::ConnectionTrait;

pub use caps::{admit, caps, set_cap};
use tally::Tally;

use super::meter;
use super::store::{self, Model, Whose};
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::Caller;
use crate::store::{Cursors, Metered, Position};

/// How many records are read at a time.
const RECORDS_AT_ONCE: u64 = 10_000;
/// How many seconds a day has.
const DAY_S: i64 = 86_400;

/// What was used in the window that a query asks for.
pub async fn usage(app: &App, caller: &Caller, query: UsageQuery) -> Result<Usage> {
    let now = app.clock.now();
    let (from, to) = window(app, &query, now)?;
    let user = of_user(caller, query.user_id.as_ref())?;
    let list = ("usage", &caller.team, user, &query.from, &query.to, &query.machine_id);
    let cursors = Cursors::of(&app.sealer, list);
    let after = query.after.as_deref().map(|cursor| cursors.read(cursor)).transpose()?;
    let whose = match (&query.machine_id, user) {
        (Some(machine), _) => Whose::Machine(machine.clone()),
        (None, Some(user)) => Whose::User(caller.team.clone(), user.clone()),
        (None, None) => Whose::Team(caller.team.clone()),
    };
    let mut tally = Tally::of(from, to.min(now));
    let store = app.store.snapshot().await?;
    let most = app.config.limits.usage_records;
    let is_asked =
        |record: &Model| record.team_id.0 == caller.team && user.is_none_or(|user| record.user_id.0 == *user);
    let mut add = |record: &Model| {
        if is_asked(record) {
            tally.add(record);
        }
    };
    let window = (from, to.min(now));
    let mut room = most;
    let mut whole = true;
    for part in [Part::Ended, Part::Spanning, Part::Open] {
        whole = whole && each(&store, &whose, window, part, &mut room, &mut add).await?;
    }
    if !whole {
        return Err(Error::field(
            "from",
            format!(
                "more than {most} records are in the window; ask for a shorter one: the amounts of windows that \
                 follow each other add up exactly"
            ),
        ));
    }
    let after = after.as_ref().and_then(Position::texts);
    let (items, next) = tally.page(after, query.limit.unwrap_or_default());
    let next_page = next.map(|(key, id)| cursors.write(&Position::of(key, id)));
    Ok(Usage {
        from,
        to,
        amount: tally.amount().to_string(),
        totals: tally.totals(),
        has_more: next_page.is_some(),
        next_page,
        items,
    })
}

/// The window that a query asks for. What was before the time for which records are kept is not answered too
/// small, but refused.
fn window(app: &App, query: &UsageQuery, now: Timestamp) -> Result<(Timestamp, Timestamp)> {
    let to = query.to.unwrap_or(now);
    let from = query.from.unwrap_or(to.min(now).month_start());
    if from > to {
        return Err(Error::field("from", format!("expected a moment that is not after `to`, {to}")));
    }
    let most = app.config.limits.usage_days;
    if most > 0 && to.whole_seconds() - from.whole_seconds() > i64::from(most) * DAY_S {
        return Err(Error::field("from", format!("expected a window of at most {most} days")));
    }
    let kept = now.plus_seconds(-i64::from(most) * DAY_S);
    if most > 0 && from.whole_seconds() < kept.whole_seconds() {
        let begins = if query.from.is_some() { "from" } else { "to" };
        return Err(Error::field(
            begins,
            format!(
                "the window begins at {from}, and usage is kept for {most} days (limits.usage_days), since {kept}; \
                 ask for what was used since with `from`"
            ),
        ));
    }
    Ok((from, to))
}

/// The one user whose usage is asked for. Plain members see what they have made themselves.
fn of_user<'a>(caller: &'a Caller, wanted: Option<&'a UserId>) -> Result<Option<&'a UserId>> {
    if caller.role >= Role::Admin {
        return Ok(wanted);
    }
    match wanted {
        Some(other) if *other != caller.user => Err(Error::Forbidden(
            "only administrators of the team may see what others have used; ask one of them".to_owned(),
        )),
        _ => Ok(Some(&caller.user)),
    }
}

/// Some of the records that touch a window. Each is in one part.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// Those that ended in it.
    Ended,
    /// Those that ended after it.
    Spanning,
    /// Those that are open.
    Open,
}

/// Sees a part of the records of a window, while there is room for more: whether there was.
async fn each(
    store: &impl ConnectionTrait,
    whose: &Whose,
    (from, to): (Timestamp, Timestamp),
    part: Part,
    room: &mut u64,
    mut see: impl FnMut(&Model),
) -> Result<bool> {
    let mut last: Option<Model> = None;
    loop {
        let after = last.as_ref();
        let rows = match part {
            Part::Ended => store::ended(store, whose, (from, to), after, RECORDS_AT_ONCE).await?,
            Part::Spanning => store::spanning(store, whose, to, after, RECORDS_AT_ONCE).await?,
            Part::Open => store::open(store, whose, to, after, RECORDS_AT_ONCE).await?,
        };
        let Some(left) = room.checked_sub(rows.len() as u64) else { return Ok(false) };
        *room = left;
        rows.iter().for_each(&mut see);
        if (rows.len() as u64) < RECORDS_AT_ONCE {
            return Ok(true);
        }
        last = rows.into_iter().next_back();
    }
}

/// Bills what is open at the prices of the catalogue that this server has started with.
pub async fn begin(app: &App) -> Result<()> {
    let tx = app.store.begin().await?;
    let now = app.clock.now();
    let mut last: Option<Model> = None;
    loop {
        let rows = store::open(&*tx, &Whose::Everyone, now, last.as_ref(), RECORDS_AT_ONCE).await?;
        for record in &rows {
            let Some((price, gpus)) = tx.meter().price(record.kind.0, record.machine_type.as_deref()) else {
                continue;
            };
            if (price, gpus) != (record.price_nano, record.gpus) {
                meter::renew(&*tx, record, price, gpus, record.size_gib).await?;
            }
        }
        if (rows.len() as u64) < RECORDS_AT_ONCE {
            break;
        }
        last = rows.into_iter().next_back();
    }
    tx.commit().await?;
    Ok(())
}

/// Whose records a cap is about.
fn records_of(team: &TeamId, user: Option<&UserId>) -> Whose {
    match user {
        Some(user) => Whose::User(team.clone(), user.clone()),
        None => Whose::Team(team.clone()),
    }
}
