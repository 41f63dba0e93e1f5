//! Which address of its region's pool is claimed.

use std::collections::BTreeSet;

use deckle_control::config::Config;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::claim;
use crate::world::{World, machine};

fn pools(everywhere: &[&str], ams1: Option<&[&str]>) -> Config {
    let of = |ranges: &[&str]| ranges.iter().map(|range| range.parse().unwrap()).collect();
    let region_pools = ams1.map(|ranges| ("ams1".to_owned(), of(ranges))).into_iter().collect();
    Config { public_pools: of(everywhere), region_pools, ..Config::default() }
}

#[tokio::test]
async fn a_region_has_a_pool_and_its_end_is_told() {
    let config = pools(&["198.51.100.0/30", "198.51.100.8/31"], Some(&["192.0.2.0/30"]));
    let world = World::with(config, None).await;
    for ip in ["198.51.100.1", "198.51.100.2", "198.51.100.8", "198.51.100.9"] {
        assert_eq!(claim(&world, "ny2").await, ip);
    }
    for ip in ["192.0.2.1", "192.0.2.2"] {
        assert_eq!(claim(&world, "ams1").await, ip);
    }
    let before = world.dump().await;
    for region in ["ny2", "ca1", "ams1"] {
        let reply = world.call("POST /v1/public-ips", json!({"region": region})).await;
        let told = format!(
            "all public addresses of the region {region} are in use; release one, or ask the operator for more"
        );
        assert_eq!(reply.error(), (412, "PRECONDITION_FAILED", told.as_str()));
        let reply = world
            .call("POST /v1/machines", machine(json!({"region": region, "publicIpType": "static"})))
            .await;
        assert_eq!(reply.error(), (412, "PRECONDITION_FAILED", format!("publicIpType: {told}").as_str()));
    }
    assert_eq!(world.dump().await, before);
    if world.on_sqlite() {
        let counted = world.plans(&["COUNT(*)", "\"public_ips\"", "BETWEEN"]).await;
        assert!(counted.iter().any(|plan| plan.contains("ip>? AND ip<?")), "{counted:?}");
    }
    world.ok("DELETE /v1/public-ips/198.51.100.2", Value::Null).await;
    assert_eq!(claim(&world, "ca1").await, "198.51.100.2");
}

#[tokio::test]
async fn ranges_may_be_taken_out_of_a_pool_and_put_into_it() {
    let mut world = World::with(pools(&["198.51.100.128/29"], None), None).await;
    for _ in 0..3 {
        claim(&world, "ny2").await;
    }
    world.ok("DELETE /v1/public-ips/198.51.100.129", Value::Null).await;
    world.reconfigure(pools(&["192.0.2.0/30"], None)).await;
    assert_eq!(claim(&world, "ny2").await, "192.0.2.1", "none of the range that was taken out");
    world.reconfigure(pools(&["198.51.100.120/28"], None)).await;
    let mut claimed = Vec::new();
    while world.call("POST /v1/public-ips", json!({"region": "ny2"})).await.status == 200 {
        let listed = world.ok("GET /v1/public-ips?limit=1", Value::Null).await;
        claimed.push(listed["items"][0]["ip"].as_str().unwrap().to_owned());
    }
    // The /28 of 198.51.100.120 begins at .112: .113 to .126 are its hosts.
    let expected: Vec<_> = (113..=126).map(|last| format!("198.51.100.{last}")).collect();
    assert_eq!(claimed, expected);
    world.reconfigure(pools(&["198.51.100.128/28"], None)).await;
    assert_eq!(claim(&world, "ny2").await, "198.51.100.129", "what was given back comes first");
    assert_eq!(claim(&world, "ny2").await, "198.51.100.132");
}

#[tokio::test]
async fn a_free_address_is_found_without_a_walk_past_the_others() {
    let world = World::new().await;
    let first = claim(&world, "ny2").await;
    claim(&world, "ny2").await;
    world.ok(&format!("DELETE /v1/public-ips/{first}"), Value::Null).await;
    assert_eq!(claim(&world, "ny2").await, first);
    if world.on_sqlite() {
        let plans = world.plans(&["\"public_ips\"", "IS NULL", "LIMIT"]).await;
        assert!(plans[0].contains("public_ips_free (ip>? AND ip<?)"), "{plans:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]
    /// Addresses are claimed and released, and the pool changes: each claim gets an address of the pool that
    /// nobody has, as long as there is one.
    #[test]
    fn no_public_address_is_given_twice_and_none_is_forgotten(
        steps in prop::collection::vec((0u8..8, any::<prop::sample::Index>()), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let choices: [(&[&str], _); 4] = [
                (&["198.51.100.0/29"], 1..=6),
                (&["198.51.100.0/28"], 1..=14),
                (&["198.51.100.8/30"], 9..=10),
                (&["198.51.100.8/30", "198.51.100.0/30"], 1..=2),
            ];
            let hosts = |nth: usize| -> BTreeSet<u8> {
                let mut hosts: BTreeSet<_> = choices[nth].1.clone().collect();
                hosts.extend((9..=10).filter(|_| nth == 3));
                hosts
            };
            let mut world = World::with(pools(choices[0].0, None), None).await;
            let (mut pool, mut claimed) = (0, BTreeSet::new());
            for (step, which) in steps {
                match step {
                    0 => {
                        pool = which.index(choices.len());
                        world.reconfigure(pools(choices[pool].0, None)).await;
                    }
                    1 | 2 if !claimed.is_empty() => {
                        let last: u8 = *which.get(&claimed.iter().copied().collect::<Vec<_>>());
                        world.ok(&format!("DELETE /v1/public-ips/198.51.100.{last}"), Value::Null).await;
                        claimed.remove(&last);
                    }
                    _ => {
                        let reply = world.call("POST /v1/public-ips", json!({"region": "ny2"})).await;
                        let free: BTreeSet<_> = hosts(pool).difference(&claimed).copied().collect();
                        if free.is_empty() {
                            assert_eq!(reply.status, 412, "{}", reply.body);
                            continue;
                        }
                        let ip = reply.body["ip"].as_str().unwrap();
                        let last = ip.strip_prefix("198.51.100.").unwrap().parse().unwrap();
                        assert!(free.contains(&last), "{last} of {free:?}");
                        claimed.insert(last);
                    }
                }
            }
        });
    }
}
