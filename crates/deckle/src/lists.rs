//! How lists are asked for: one page, or all pages in turn.

use std::collections::HashSet;

use anyhow::{Context, Result, bail};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use deckle_api::paging::{LIMIT_MAX, Limit, Order};
use serde::Serialize;
use serde::de::{DeserializeOwned, IntoDeserializer, value};
use serde_json::Value;

use crate::client::Client;

/// The most pages that `--all` walks: four times what a million rows need at the longest page.
const PAGES_MAX: u32 = 40_000;

/// Which part of a list, and which way it goes.
#[derive(Debug, Clone, Default, Args)]
pub struct Paging {
    /// All pages, not just one.
    #[arg(long, conflicts_with = "after", help_heading = "Paging")]
    all: bool,
    /// Begin after this cursor, the `nextPage` of the page before.
    #[arg(long, value_name = "CURSOR", help_heading = "Paging")]
    after: Option<String>,
    /// At most so many rows a page: 1 to 120 [default: 25]
    #[arg(long, value_parser = limit, help_heading = "Paging")]
    limit: Option<Limit>,
    /// Which way the rows go [default: desc]
    #[arg(long, value_parser = one_of::<Order>(&["asc", "desc"]), help_heading = "Paging")]
    order: Option<Order>,
}

#[derive(Serialize)]
struct PageQuery<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<Limit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<Order>,
}

impl Paging {
    /// All pages, of the longest kind.
    pub fn everything() -> Self {
        Self { all: true, limit: Limit::new(LIMIT_MAX.into()), ..Self::default() }
    }

    /// Fetches a page as the API answers it, or the array of the items of all pages.
    pub async fn fetch(&self, client: &Client, path: &str, filters: &impl Serialize) -> Result<Value> {
        let filters = serde_urlencoded::to_string(filters).context("write the query")?;
        if !self.all {
            return client.get(&self.address(path, &filters, self.after.as_deref())?).await;
        }
        let mut items = Vec::new();
        let mut seen = HashSet::new();
        let mut after: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let mut page = client.get(&self.address(path, &filters, after.as_deref())?).await?;
            if let Some(rows) = page["items"].as_array_mut() {
                items.append(rows);
            }
            after = page["nextPage"].as_str().map(str::to_owned);
            match &after {
                None => return Ok(Value::Array(items)),
                Some(cursor) if !seen.insert(cursor.clone()) => {
                    bail!("the server names the page {cursor} a second time")
                }
                Some(_) => {}
            }
        }
        bail!("the list has more than {PAGES_MAX} pages: filter it, or ask for a page at a time")
    }

    fn address(&self, path: &str, filters: &str, after: Option<&str>) -> Result<String> {
        let limit = self.limit.or_else(|| if self.all { Limit::new(LIMIT_MAX.into()) } else { None });
        let page = serde_urlencoded::to_string(PageQuery { after, limit, order: self.order })?;
        let query =
            [filters, &page].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("&");
        Ok(if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") })
    }
}

/// A parser of a word of the wire that may be one of these.
pub fn one_of<T>(words: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).try_map(|text| {
        let text: value::StrDeserializer<'_, value::Error> = text.as_str().into_deserializer();
        T::deserialize(text)
    })
}

/// How many rows a page may have, as it is written.
pub fn limit(text: &str) -> Result<Limit, String> {
    let limit = text.parse().ok().and_then(Limit::new);
    limit.ok_or_else(|| format!("expected a whole number from 1 to {LIMIT_MAX}"))
}

/// The one of these templates that has this id, or else this exact name, where there is one.
pub fn by_id_or_name<T>(all: Vec<T>, wanted: &str, told: fn(&T) -> (&str, &str)) -> Result<Option<T>> {
    let (mut of_id, of_others): (Vec<T>, Vec<T>) = all.into_iter().partition(|one| told(one).0 == wanted);
    if let Some(found) = of_id.pop() {
        return Ok(Some(found));
    }
    let mut named = of_others.into_iter().filter(|one| told(one).1 == wanted);
    match (named.next(), named.next()) {
        (Some(one), Some(other)) => {
            bail!("two templates are called {wanted:?}: say {} or {}", told(&one).0, told(&other).0)
        }
        (found, _) => Ok(found),
    }
}
