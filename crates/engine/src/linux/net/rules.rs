//! Tables of packet rules: written as one batch, and seen again.
//!
//! A table's text is applied whole, by one transaction of the kernel, and leaves what its sets and maps
//! hold. Each rule carries a mark of the whole text as its comment: a table whose rules were flushed, added
//! to, or written by another release shows by counting marks.
//!
//! **Invariant**: nothing outside the named table is ever touched.

use std::hash::{DefaultHasher, Hash, Hasher};

use ipnet::Ipv4Net;
use serde_json::Value;

use super::place::Place;
use crate::error::{Error, Result};
use crate::linux::command::Failure;

/// A table as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    /// `ip`, `inet` or `bridge`.
    pub family: &'static str,
    pub name: String,
    /// Its sets and maps: kind, name, and what they hold, in the words of `nft`.
    pub sets: Vec<(&'static str, &'static str, &'static str)>,
    pub chains: Vec<Chain>,
}

/// A chain on one of the kernel's hooks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Chain {
    pub name: &'static str,
    /// Its type, hook, priority and policy, in the words of `nft`.
    pub hook: &'static str,
    pub rules: Vec<String>,
}

impl Table {
    /// The batch that makes the table, or makes it so again.
    pub(super) fn text(&self) -> String {
        let Self { family, name, sets, chains } = self;
        let mark = self.mark();
        let mut lines = vec![format!("add table {family} {name}")];
        for (kind, set, of) in sets {
            lines.push(format!("add {kind} {family} {name} {set} {{ {of}; }}"));
        }
        for Chain { name: chain, hook, rules } in chains {
            lines.push(format!("add chain {family} {name} {chain} {{ type {hook}; }}"));
            lines.push(format!("flush chain {family} {name} {chain}"));
            let rule = |rule| format!("add rule {family} {name} {chain} {rule} comment \"{mark}\"");
            lines.extend(rules.iter().map(rule));
        }
        lines.join("\n") + "\n"
    }

    /// Whether exactly the table's rules are there.
    pub(super) fn is_whole(&self, seen: &Ruleset) -> bool {
        let mark = self.mark();
        self.chains.iter().all(|chain| {
            let marks = seen.marks(self.family, &self.name, chain.name);
            marks.len() == chain.rules.len() && marks.iter().all(|seen| *seen == mark)
        })
    }

    fn mark(&self) -> String {
        let mut hasher = DefaultHasher::new();
        (&self.chains, &self.sets).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

/// An element of a set or a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    /// The key's parts, then, in a map, the value.
    pub words: Vec<String>,
    pub comment: String,
}

/// The rules of a place, as `nft -j` tells them.
#[derive(Debug, Clone, Default)]
pub(super) struct Ruleset(Vec<Value>);

impl Ruleset {
    /// What a set or a map holds.
    pub(super) fn elements(&self, set: &str) -> Vec<Element> {
        let sets = self.0.iter().filter_map(|item| item.get("set").or_else(|| item.get("map")));
        let named = sets.filter(|item| item["name"] == set);
        let elements = named.filter_map(|item| item["elem"].as_array()).flatten();
        elements.map(element).collect()
    }

    /// The chains that drop what no rule of theirs accepts on a hook: family, table and name.
    pub(super) fn dropping(&self, hook: &str) -> Vec<(String, String, String)> {
        let chains = self.0.iter().filter_map(|item| item.get("chain"));
        let dropping = chains.filter(|chain| chain["hook"] == hook && chain["policy"] == "drop");
        dropping.map(|chain| (text(&chain["family"]), text(&chain["table"]), text(&chain["name"]))).collect()
    }

    /// Whether some rule of a table accepts what comes in, and some rule what goes out, by links whose names begin
    /// so.
    pub(super) fn admits(&self, family: &str, table: &str, prefix: &str) -> bool {
        let rules = self.0.iter().filter_map(|item| item.get("rule"));
        let named: Vec<_> = rules.filter(|rule| rule["family"] == family && rule["table"] == table).collect();
        ["iifname", "oifname"].iter().all(|side| named.iter().any(|rule| admits_by(rule, side, prefix)))
    }

    /// The names of all tables.
    pub(super) fn tables(&self) -> Vec<String> {
        self.0.iter().filter_map(|item| item.get("table")).map(|table| text(&table["name"])).collect()
    }

    /// Whether there is a table or a chain of that name.
    pub(super) fn has(&self, kind: &str, name: &str) -> bool {
        self.0.iter().any(|item| item.get(kind).is_some_and(|item| item["name"] == name))
    }

    fn marks(&self, family: &str, table: &str, chain: &str) -> Vec<String> {
        let rules = self.0.iter().filter_map(|item| item.get("rule"));
        let ours =
            rules.filter(|rule| rule["family"] == family && rule["table"] == table && rule["chain"] == chain);
        ours.map(|rule| text(&rule["comment"])).collect()
    }

    /// What `nft -j list` said.
    pub(super) fn parse(said: &[u8]) -> serde_json::Result<Self> {
        #[derive(serde::Deserialize)]
        struct Listing {
            nftables: Vec<Value>,
        }
        serde_json::from_slice(said).map(|listing: Listing| Self(listing.nftables))
    }
}

/// All rules of a place.
pub(super) async fn look(place: &Place) -> Result<Ruleset> {
    let act = format!("look at the packet rules in {place:?}");
    let said = place.run("nft").args(["-j", "list", "ruleset"]).done(act.clone()).await?;
    Ruleset::parse(&said).map_err(|error| Error::passing(act, error))
}

/// One table of the host; empty when it is not there.
pub(super) async fn look_table(family: &str, name: &str) -> Result<Ruleset> {
    let act = format!("look at the packet rules {name}");
    match Place::Host.run("nft").args(["-j", "list", "table", family, name]).output().await {
        Ok(said) => Ruleset::parse(&said).map_err(|error| Error::passing(act, error)),
        Err(Failure::Said { said, .. }) if said.contains("No such file") => Ok(Ruleset::default()),
        Err(failure) => Err(Error::passing(act, failure)),
    }
}

/// Applies a batch: all of it, or nothing.
pub(super) async fn apply(place: &Place, act: &str, text: String) -> Result<()> {
    if !text.is_empty() {
        place.run("nft").args(["-f", "-"]).input(text).done(act).await?;
    }
    Ok(())
}

/// Whether a rule accepts all that passes links whose names begin so, and asks for nothing else.
fn admits_by(rule: &Value, side: &str, prefix: &str) -> bool {
    let steps = rule["expr"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut matches = steps.iter().filter_map(|step| step.get("match"));
    steps.iter().any(|step| step.get("accept").is_some())
        && matches.all(|asked| asked["left"]["meta"]["key"] == side && asked["right"] == format!("{prefix}*"))
}

/// Ranges as a set; those that lie in others are left out, because `nft` refuses overlaps.
pub(super) fn set_of(ranges: &[Ipv4Net]) -> String {
    let ranges = Ipv4Net::aggregate(&ranges.iter().map(Ipv4Net::trunc).collect());
    format!("{{ {} }}", ranges.iter().map(Ipv4Net::to_string).collect::<Vec<_>>().join(", "))
}

/// Words and numbers.
fn text(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        value => value.as_str().unwrap_or_default().to_owned(),
    }
}

/// A map's element is a pair of key and value; a key with a comment is wrapped; a joined key is a list.
fn element(item: &Value) -> Element {
    let (key, value) = match item.as_array().map(Vec::as_slice) {
        Some([key, value]) => (key, Some(value)),
        _ => (item, None),
    };
    let comment = text(&key["elem"]["comment"]);
    let key = key.get("elem").map_or(key, |wrapped| &wrapped["val"]);
    let parts =
        key["concat"].as_array().map_or_else(|| vec![text(key)], |parts| parts.iter().map(text).collect());
    Element { words: parts.into_iter().chain(value.map(text)).collect(), comment }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rules: &[&str]) -> Table {
        let rules = rules.iter().map(|rule| (*rule).to_owned()).collect();
        let chain = Chain { name: "input", hook: "filter hook input priority filter; policy drop", rules };
        Table {
            family: "inet",
            name: "deckle_abc".to_owned(),
            sets: vec![("set", "plugged", "type ifname . ipv4_addr")],
            chains: vec![chain],
        }
    }

    fn listing(marks: &[&str]) -> Ruleset {
        let rule = |mark| serde_json::json!({"rule": {"family": "inet", "table": "deckle_abc", "chain": "input", "comment": mark}});
        Ruleset(marks.iter().map(rule).collect())
    }

    #[test]
    fn a_table_is_one_batch_that_keeps_what_its_sets_hold() {
        let table = table(&["iifname \"lo\" accept"]);
        let mark = table.mark();
        let wanted = format!(
            "add table inet deckle_abc\n\
             add set inet deckle_abc plugged {{ type ifname . ipv4_addr; }}\n\
             add chain inet deckle_abc input {{ type filter hook input priority filter; policy drop; }}\n\
             flush chain inet deckle_abc input\n\
             add rule inet deckle_abc input iifname \"lo\" accept comment \"{mark}\"\n"
        );
        assert_eq!(table.text(), wanted);
    }

    #[test]
    fn ranges_that_overlap_or_touch_become_one() {
        let set =
            |ranges: &[&str]| set_of(&ranges.iter().map(|range| range.parse().unwrap()).collect::<Vec<_>>());
        assert_eq!(set(&["10.0.0.0/8", "10.64.0.0/10"]), "{ 10.0.0.0/8 }");
        assert_eq!(
            set(&["203.0.113.0/25", "198.18.0.0/24", "203.0.113.128/25"]),
            "{ 198.18.0.0/24, 203.0.113.0/24 }"
        );
    }

    #[test]
    fn a_flushed_a_grown_and_an_older_table_are_not_whole() {
        let table = table(&["accept", "drop"]);
        let mark = table.mark();
        assert!(table.is_whole(&listing(&[&mark, &mark])));
        assert!(!table.is_whole(&listing(&[])));
        assert!(!table.is_whole(&listing(&[&mark])));
        assert!(!table.is_whole(&listing(&[&mark, &mark, ""])));
        assert!(!table.is_whole(&listing(&[&mark, "0123456789abcdef"])));
    }

    #[test]
    fn elements_of_sets_and_maps_are_read_with_their_comments() {
        let said = br#"{"nftables": [{"metainfo": {}},
            {"map": {"name": "public_in", "elem": [[{"elem": {"val": "203.0.113.7", "comment": "psa"}}, "10.64.0.2"]]}},
            {"set": {"name": "plugged", "elem": [{"concat": ["psa", "52:54:00:00:00:01", "10.64.0.2"]}]}}]}"#;
        let rules = Ruleset::parse(said).unwrap();
        let [mapped] = &rules.elements("public_in")[..] else { panic!("one element") };
        assert_eq!(mapped.words, ["203.0.113.7", "10.64.0.2"]);
        assert_eq!(mapped.comment, "psa");
        let [joined] = &rules.elements("plugged")[..] else { panic!("one element") };
        assert_eq!(joined.words, ["psa", "52:54:00:00:00:01", "10.64.0.2"]);
    }
}
