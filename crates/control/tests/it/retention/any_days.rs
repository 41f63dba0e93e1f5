//! Whatever is made and deleted on whichever days: a row is there exactly as long as it is to be kept.

use deckle_api::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{DAY_S, pass_days};
use crate::world::{World, is_slow};

#[derive(Debug, Clone)]
enum Act {
    Machine,
    Network,
    Script,
    Delete(usize),
    Days(i64),
    Restart,
}

/// A thing that was made: its table, its noun, its id, and when it was deleted.
struct Made {
    table: &'static str,
    noun: &'static str,
    id: String,
    deleted: Option<Timestamp>,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        Just(Act::Machine),
        Just(Act::Network),
        Just(Act::Script),
        (0..20usize).prop_map(Act::Delete),
        (0..20usize).prop_map(Act::Delete),
        (1..45i64).prop_map(Act::Days),
        Just(Act::Restart),
    ]
}

async fn perform(world: &mut World, made: &mut Vec<Made>, act: Act) {
    let alive = |made: &Made, noun| made.noun == noun && made.deleted.is_none();
    let last = |noun| made.iter().rev().find(|made| alive(made, noun)).map(|made| made.id.clone());
    let (table, noun, body) = match act {
        Act::Machine => {
            let wanted =
                json!({"networkId": last("private-networks"), "startupScriptId": last("startup-scripts")});
            ("machines", "machines", crate::world::machine(wanted))
        }
        Act::Network => ("private_networks", "private-networks", json!({"name": "lab", "region": "ny2"})),
        Act::Script => ("startup_scripts", "startup-scripts", json!({"name": "s", "script": "true"})),
        Act::Delete(nth) => return delete(world, made, nth).await,
        Act::Days(days) => return pass_days(world, days).await,
        Act::Restart => return world.restart_server().await,
    };
    let answer = world.ok(&format!("POST /v1/{noun}"), body).await;
    let id = answer.get("data").unwrap_or(&answer)["id"].as_str().unwrap().to_owned();
    made.push(Made { table, noun, id, deleted: None });
    world.settle().await;
}

async fn delete(world: &World, made: &mut [Made], nth: usize) {
    let Some(made) = made.iter_mut().filter(|made| made.deleted.is_none()).nth(nth) else { return };
    let reply = world.call(&format!("DELETE /v1/{}/{}", made.noun, made.id), Value::Null).await;
    assert!([200, 412].contains(&reply.status), "{}", reply.body);
    world.settle().await;
    made.deleted = (reply.status == 200).then(|| world.app.clock.now());
}

/// Each row is there if its thing is, or was deleted less than so many days ago. An hour is nobody's.
async fn is_kept(world: &World, made: &[Made]) {
    let now = world.app.clock.now();
    for Made { table, noun: _, id, deleted } in made {
        let age_s = deleted.map_or(0.0, |deleted| now.seconds_since(deleted));
        let wanted = age_s < (30 * DAY_S) as f64;
        if (age_s - (30 * DAY_S) as f64).abs() > 3600.0 {
            let rows = world.number(&format!("SELECT COUNT(*) AS n FROM {table} WHERE id = '{id}'")).await;
            assert_eq!(rows, i64::from(wanted), "{id}, deleted {} days ago", age_s / DAY_S as f64);
        }
    }
    let oldest = now.plus_seconds(-90 * DAY_S - 3600).0;
    let old = format!("SELECT COUNT(*) AS n FROM machine_events WHERE dt_finished < {oldest}");
    assert_eq!(world.number(&old).await, 0);
    assert_eq!(world.admin("GET /admin/leaks", Value::Null).await.body, json!([]));
}

/// Worlds are made slowly on PostgreSQL.
fn cases() -> u32 {
    if is_slow() { 2 } else { 12 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_row_is_there_as_long_as_it_is_to_be_kept(acts in prop::collection::vec(act(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            let mut made = Vec::new();
            for act in acts {
                perform(&mut world, &mut made, act).await;
                world.settle().await;
                is_kept(&world, &made).await;
            }
            for made in &made {
                let there = world.call(&format!("GET /v1/{}/{}", made.noun, made.id), Value::Null).await.status;
                assert_eq!(there == 200, made.deleted.is_none(), "{}", made.id);
            }
        });
    }
}
