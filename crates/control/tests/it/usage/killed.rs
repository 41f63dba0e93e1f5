//! A server that ends without a word: no interval is lost, and none is there twice.

use deckle_api::ids::MachineId;
use serde_json::json;

use super::{BEGIN, items};
use crate::broken_host::order;
use crate::world::{World, sweep_step};

/// Intervals of one object that overlap.
const TWICE: &str = "SELECT COUNT(*) AS n FROM usage_records a JOIN usage_records b \
    ON a.kind = b.kind AND a.object_id = b.object_id AND a.number < b.number \
    AND a.dt_from < COALESCE(b.dt_to, 9000000000000000) AND b.dt_from < COALESCE(a.dt_to, 9000000000000000)";

/// Checks that exactly what the row says is billed.
async fn check(world: &World, id: &MachineId, told: &str) {
    assert_eq!(world.number(TWICE).await, 0, "{told}");
    for (kind, billed) in [
        ("machine", "shown_state <> 'off'"),
        ("storage", "disk_made"),
        ("address", "public_ip IS NOT NULL AND public_ip_type = 'dynamic'"),
    ] {
        let row = format!(
            "SELECT COUNT(*) AS n FROM machines WHERE id = '{id}' AND dt_deleted IS NULL AND {billed}"
        );
        let open = format!(
            "SELECT COUNT(*) AS n FROM usage_records WHERE machine_id = '{id}' AND kind = '{kind}' AND dt_to IS NULL"
        );
        assert_eq!(world.number(&open).await, world.number(&row).await, "{told}: {kind}");
    }
}

#[tokio::test]
async fn a_server_killed_at_any_moment_bills_what_it_would_have() {
    for verb in ["create", "stop", "delete"] {
        for nth in (0..).step_by(sweep_step()) {
            let mut world = World::new().await;
            let told = format!("killed at moment {nth} of {verb}");
            let id = world.create(json!({"publicIpType": "dynamic"})).await;
            if verb != "create" {
                world.settle().await;
                world.pass_seconds(100);
                order(&world, verb, &id).await;
            }
            let killed = world.kill_at(nth).await;
            check(&world, &id, &told).await;
            world.settle().await;
            check(&world, &id, &told).await;
            let told_of = items(&world, BEGIN).await;
            let machine = told_of.iter().find(|item| item.0 == "machine").map_or(0, |item| item.3);
            let least = if verb == "create" { 0 } else { 100 };
            let records = "SELECT COUNT(*) AS n FROM usage_records WHERE kind = 'machine'";
            assert_eq!((machine >= least, world.number(records).await), (true, 1), "{told}");
            if !killed {
                break;
            }
        }
    }
}
