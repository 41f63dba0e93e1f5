//! `deckle usage`: what was used, and what it came to.

use anyhow::Result;
use clap::Args;
use deckle_api::Timestamp;
use deckle_api::ids::{MachineId, UserId};
use deckle_api::paging::{LIMIT_MAX, Limit};
use deckle_api::usage::{Usage as Answer, UsageItem, UsageQuery, UsageTotal};
use serde_json::Value;

use crate::Cli;
use crate::client::Client;
use crate::lists::limit;
use crate::output::{Format, print_table, view};

const PATH: &str = "/v1/usage";
const COLUMNS: [&str; 7] = ["KIND", "ID", "TYPE", "HOURS", "GPU HOURS", "GB HOURS", "AMOUNT"];

/// Which window, and whose.
#[derive(Debug, Args)]
pub struct Usage {
    /// The window's first moment, such as 2026-11-01T00:00:00Z [default: the beginning of this month in UTC]
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    from: Option<Timestamp>,
    /// The first moment after the window [default: now]
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    to: Option<Timestamp>,
    /// Only this machine with its disk and its dynamic addresses, deleted or not
    #[arg(long, value_name = "ID")]
    machine_id: Option<MachineId>,
    /// Only what this user has made
    #[arg(long, value_name = "ID")]
    user_id: Option<UserId>,
    /// All pages, not just one
    #[arg(long, conflicts_with = "after", help_heading = "Paging")]
    all: bool,
    /// Begin after this cursor, the `nextPage` of the page before
    #[arg(long, value_name = "CURSOR", help_heading = "Paging")]
    after: Option<String>,
    /// At most so many items a page: 1 to 120 [default: 25]
    #[arg(long, value_parser = limit, help_heading = "Paging")]
    limit: Option<Limit>,
}

impl Usage {
    /// Shows it.
    pub async fn run(&self, cli: &Cli) -> Result<()> {
        let client = cli.client()?;
        let query = UsageQuery {
            from: self.from,
            to: self.to,
            machine_id: self.machine_id.clone(),
            user_id: self.user_id.clone(),
            after: self.after.clone(),
            limit: self.limit.or_else(|| if self.all { Limit::new(LIMIT_MAX.into()) } else { None }),
        };
        let answer = match self.all {
            true => everything(&client, query).await?,
            false => ask(&client, &query).await?,
        };
        if cli.output == Format::Json {
            return crate::output::print_json(&answer);
        }
        let told = view::<Answer>(&answer)?;
        eprintln!("from {} to {}", told.from, told.to);
        print_table(rows(&told))?;
        if let Some(next) = &told.next_page {
            eprintln!("there are more: --all, or --after {next}");
        }
        Ok(())
    }
}

fn moment(text: &str) -> Result<Timestamp, &'static str> {
    text.parse().map_err(|_| Timestamp::EXPECTED)
}

async fn ask(client: &Client, query: &UsageQuery) -> Result<Value> {
    client.get(&format!("{PATH}?{}", serde_urlencoded::to_string(query)?)).await
}

/// All pages as one. The first answer says which window it is of, and all others are asked for that one.
async fn everything(client: &Client, mut query: UsageQuery) -> Result<Value> {
    let first = ask(client, &query).await?;
    let told = view::<Answer>(&first)?;
    if !told.has_more {
        return Ok(first);
    }
    (query.from, query.to) = (Some(told.from), Some(told.to));
    let mut whole = view::<Answer>(&ask(client, &query).await?)?;
    while let Some(next) = whole.next_page.take() {
        query.after = Some(next);
        let page = view::<Answer>(&ask(client, &query).await?)?;
        whole.items.extend(page.items);
        whole.next_page = page.next_page;
    }
    whole.has_more = false;
    Ok(serde_json::to_value(whole)?)
}

/// The items, and below them what all of them came to, on whatever page they are.
fn rows(told: &Answer) -> Vec<Vec<String>> {
    let heads = COLUMNS.map(str::to_owned).to_vec();
    let totals = told.totals.iter().filter(|total| total.seconds > 0).map(total_row);
    let all = ["all", "total", "-", "-", "-", "-"].map(str::to_owned).to_vec();
    let all = [all, vec![told.amount.clone()]].concat();
    std::iter::once(heads).chain(told.items.iter().map(item_row)).chain(totals).chain([all]).collect()
}

fn item_row(item: &UsageItem) -> Vec<String> {
    vec![
        item.kind.word().to_owned(),
        item.id.clone(),
        item.machine_type.clone().unwrap_or_else(|| "-".to_owned()),
        hours(item.hours),
        hours(item.gpu_hours),
        hours(item.gb_hours),
        item.amount.clone(),
    ]
}

fn total_row(total: &UsageTotal) -> Vec<String> {
    vec![
        total.kind.word().to_owned(),
        "total".to_owned(),
        "-".to_owned(),
        hours(total.hours),
        hours(total.gpu_hours),
        hours(total.gb_hours),
        total.amount.clone(),
    ]
}

fn hours(hours: f64) -> String {
    if hours == 0.0 { "-".to_owned() } else { hours.to_string() }
}
