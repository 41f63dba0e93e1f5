//! Keyset paging: a page costs the same at any depth, and stays right while rows come and go.
//!
//! **Invariants**: a page is read from an index, from the place after the cursor on; a cursor is good only
//! for the list, the order and the filters that it was made for, and only if this server made it.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use deckle_api::paging::{Limit, Order, Page};
use sea_orm::sea_query::{Expr, ExprTrait, SimpleExpr};
use sea_orm::{
    ConnectionTrait, DbErr, EntityTrait, FromQueryResult, ModelTrait, QueryFilter, QueryOrder, QuerySelect,
    Select, Value,
};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::seal::Sealer;

/// The most rows that a search by name looks at in one request.
pub const NAMES_MAX: usize = 50_000;
/// How many names are fetched at a time.
const NAMES_AT_ONCE: u64 = 2_000;
/// How long a cursor may be: a name of 255 characters of four bytes, and room.
const CURSOR_MAX: usize = 4_096;

/// A place in an ordered list: after the row with this sort key and id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    key: Key,
    id: Key,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Key {
    Number(i64),
    Text(String),
}

impl Position {
    /// The place after what is ordered by two texts.
    pub fn of(key: &str, id: &str) -> Self {
        Self { key: Key::Text(key.to_owned()), id: Key::Text(id.to_owned()) }
    }

    /// The two texts of such a place.
    pub fn texts(&self) -> Option<(&str, &str)> {
        match (&self.key, &self.id) {
            (Key::Text(key), Key::Text(id)) => Some((key, id)),
            _ => None,
        }
    }
}

/// What a page is asked of: rows, their order, and where to begin.
#[derive(Debug)]
pub struct Listing<E: EntityTrait> {
    /// The rows, with every filter but the name's.
    pub rows: Select<E>,
    /// What they are ordered by; ties are broken by id.
    pub sort: E::Column,
    /// The id.
    pub id: E::Column,
    /// Which way.
    pub order: Order,
    /// How many.
    pub limit: Limit,
    /// After which row.
    pub after: Option<Position>,
    /// The folded name's column, and what it must contain.
    pub name: Option<(E::Column, String)>,
}

/// A page's rows, and where the next one begins.
#[derive(Debug)]
pub struct Rows<M> {
    /// The rows.
    pub rows: Vec<M>,
    /// The place after the last row that was looked at, if there may be more.
    pub next: Option<Position>,
}

impl<M> Rows<M> {
    /// The page as it is told.
    pub fn page<T>(self, next: impl FnOnce(&Position) -> String, show: impl FnMut(M) -> T) -> Page<T> {
        let next_page = self.next.as_ref().map(next);
        Page { has_more: next_page.is_some(), next_page, items: self.rows.into_iter().map(show).collect() }
    }
}

impl<E: EntityTrait> Listing<E>
where
    E::Model: FromQueryResult + ModelTrait<Entity = E> + Sync,
{
    /// The rows in the default order, a default page of them, from the beginning.
    pub fn of(rows: Select<E>, sort: E::Column, id: E::Column) -> Self {
        Self { rows, sort, id, order: Order::default(), limit: Limit::default(), after: None, name: None }
    }

    /// Reads the page.
    pub async fn page(self, store: &impl ConnectionTrait) -> Result<Rows<E::Model>> {
        match self.name.clone() {
            Some((column, part)) => self.named(store, column, &part.to_lowercase()).await,
            None => {
                let rows = self.read(store, self.after.as_ref(), self.limit.rows() + 1).await?;
                Ok(self.cut(rows, |row| row))
            }
        }
    }

    /// Reads the page as rows that have more columns than the table; `of` is the table's part of one. Names
    /// are not searched.
    pub async fn page_of<M>(
        self,
        store: &impl ConnectionTrait,
        of: impl Fn(&M) -> &E::Model,
    ) -> Result<Rows<M>>
    where
        M: FromQueryResult + Send + Sync,
    {
        let rows = self.from(self.after.as_ref(), self.limit.rows() + 1).into_model::<M>();
        Ok(self.cut(rows.all(store).await?, of))
    }

    async fn read(
        &self,
        store: &impl ConnectionTrait,
        after: Option<&Position>,
        limit: u64,
    ) -> Result<Vec<E::Model>, DbErr> {
        self.from(after, limit).all(store).await
    }

    /// The rows from a place on.
    fn from(&self, after: Option<&Position>, limit: u64) -> Select<E> {
        let order = match self.order {
            Order::Asc => sea_orm::Order::Asc,
            Order::Desc => sea_orm::Order::Desc,
        };
        let mut rows = self.rows.clone();
        if let Some(position) = after {
            rows = rows.filter(self.beyond(position));
        }
        rows.order_by(self.sort, order.clone()).order_by(self.id, order).limit(limit)
    }

    fn beyond(&self, position: &Position) -> SimpleExpr {
        let value = |key: &Key| match key {
            Key::Number(number) => Value::from(*number).into(),
            Key::Text(text) => Value::from(text.clone()).into(),
        };
        let place = SimpleExpr::Tuple(vec![Expr::col(self.sort), Expr::col(self.id)]);
        let from = SimpleExpr::Tuple(vec![value(&position.key), value(&position.id)]);
        match self.order {
            Order::Asc => place.gt(from),
            Order::Desc => place.lt(from),
        }
    }

    fn position(&self, row: &E::Model) -> Position {
        let key = |column| match row.get(column) {
            Value::BigInt(Some(number)) => Key::Number(number),
            Value::String(Some(text)) => Key::Text(text),
            other => unreachable!("a list is ordered by numbers and text, not {other:?}"),
        };
        Position { key: key(self.sort), id: key(self.id) }
    }

    /// One row more than the page was read: it is there only to tell that it is.
    fn cut<M>(&self, mut rows: Vec<M>, of: impl Fn(&M) -> &E::Model) -> Rows<M> {
        let limit = usize::try_from(self.limit.rows()).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|row| self.position(of(row)));
        Rows { rows, next }
    }

    /// Walks the rows in their order and keeps those whose name contains the part, until the page is full
    /// or [`NAMES_MAX`] rows were looked at.
    async fn named(
        &self,
        store: &impl ConnectionTrait,
        column: E::Column,
        part: &str,
    ) -> Result<Rows<E::Model>> {
        let limit = usize::try_from(self.limit.rows()).unwrap_or(usize::MAX);
        let mut found = Vec::new();
        let mut after = self.after.clone();
        let mut looked_at = 0;
        loop {
            let rows = self.read(store, after.as_ref(), NAMES_AT_ONCE).await?;
            let last_batch = (rows.len() as u64) < NAMES_AT_ONCE;
            looked_at += rows.len();
            if let Some(last) = rows.last() {
                after = Some(self.position(last));
            }
            let matches =
                |row: &E::Model| matches!(row.get(column), Value::String(Some(name)) if name.contains(part));
            found.extend(rows.into_iter().filter(matches).take(limit + 1 - found.len()));
            if found.len() > limit {
                return Ok(self.cut(found, |row| row));
            }
            if last_batch {
                return Ok(Rows { rows: found, next: None });
            }
            if looked_at >= NAMES_MAX {
                return Ok(Rows { rows: found, next: after });
            }
        }
    }
}

/// Makes cursors of positions and reads them back.
#[derive(Debug)]
pub struct Cursors<'a> {
    sealer: &'a Sealer,
    list: String,
}

impl<'a> Cursors<'a> {
    /// The cursors of one list: `list` names it, its owner, its order and its filters.
    pub fn of(sealer: &'a Sealer, list: impl Serialize) -> Self {
        Self { sealer, list: serde_json::to_string(&list).unwrap_or_default() }
    }

    /// The cursor of a position.
    pub fn write(&self, position: &Position) -> String {
        let place = serde_json::to_vec(position).unwrap_or_default();
        BASE64_URL_SAFE_NO_PAD.encode([&self.mark(&place)[..], &place].concat())
    }

    /// The position of a cursor that this server made for this list.
    pub fn read(&self, cursor: &str) -> Result<Position> {
        let wrong = || Error::field("after", "expected the `nextPage` of the same list, order and filters");
        if cursor.len() > CURSOR_MAX {
            return Err(wrong());
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).map_err(|_| wrong())?;
        let (mark, place) = bytes.split_at_checked(12).ok_or_else(wrong)?;
        if mark != self.mark(place) {
            return Err(wrong());
        }
        serde_json::from_slice(place).map_err(|_| wrong())
    }

    fn mark(&self, place: &[u8]) -> [u8; 12] {
        self.sealer.mark(&[self.list.as_bytes(), b"\0", place].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_own_list_only() {
        let sealer = Sealer::new([1; 32]);
        let position = Position { key: Key::Text("name".into()), id: Key::Text("ps1".into()) };
        let machines = Cursors::of(&sealer, ("machines", "te1", "name", "asc"));
        let cursor = machines.write(&position);
        assert_eq!(machines.read(&cursor).unwrap(), position);
        assert!(Cursors::of(&sealer, ("machines", "te2", "name", "asc")).read(&cursor).is_err());
        for wrong in [
            "",
            "x",
            "!",
            &cursor[1..],
            &cursor[..cursor.len() - 1],
            &cursor.to_uppercase(),
            &"A".repeat(9000),
        ] {
            assert!(machines.read(wrong).is_err(), "{wrong}");
        }
    }
}
