//! What is billed, from when to when, and at which price.

mod asked;
mod caps;
mod chances;
mod killed;

use deckle_api::Timestamp;
use deckle_control::clock::Clock;
use serde_json::{Value, json};

use crate::broken_host::order;
use crate::world::World;

/// What a world begins with: 2023-11-14T22:13:20Z.
pub const BEGIN: &str = "from=2023-11-14T22:13:20Z";

/// The usage that a query asks for.
pub async fn usage(world: &World, query: &str) -> Value {
    world.ok(&format!("GET /v1/usage?{query}"), Value::Null).await
}

/// Each item of a query's usage: its kind, id, type, seconds and amount.
pub async fn items(world: &World, query: &str) -> Vec<(String, String, String, u64, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let told = usage(world, &format!("limit=120&{query}")).await;
    let item = |item: &Value| {
        let seconds = item["seconds"].as_u64().unwrap();
        (text(&item["kind"]), text(&item["id"]), text(&item["machineType"]), seconds, text(&item["amount"]))
    };
    told["items"].as_array().unwrap().iter().map(item).collect()
}

/// The seconds of each kind, in the order in which they are told.
pub async fn seconds(world: &World, query: &str) -> [u64; 4] {
    let told = usage(world, query).await;
    [0, 1, 2, 3].map(|kind| told["totals"][kind]["seconds"].as_u64().unwrap())
}

fn now(world: &World) -> Timestamp {
    world.clock.now()
}

#[tokio::test]
async fn a_machine_is_billed_to_the_second_while_it_is_not_off() {
    let world = World::new().await;
    assert_eq!(seconds(&world, BEGIN).await, [0; 4]);
    let id = world.create(json!({"publicIpType": "dynamic"})).await;
    world.settle().await;
    world.pass_seconds(3600);
    assert_eq!(seconds(&world, BEGIN).await, [3600, 3600, 3600, 0]);
    order(&world, "stop", &id).await;
    world.settle().await;
    let stopped = now(&world).to_string();
    let before = seconds(&world, BEGIN).await;
    assert!(before[0] >= 3600 && before[0] < 3610 && before[0] == before[1], "{before:?}");
    world.pass_seconds(100_000);
    assert_eq!(seconds(&world, BEGIN).await, [before[0], before[1] + 100_000, before[2], 0]);
    assert_eq!(seconds(&world, &format!("from={stopped}")).await, [0, 100_000, 0, 0]);
    order(&world, "start", &id).await;
    world.settle().await;
    world.pass_seconds(7);
    assert_eq!(seconds(&world, &format!("from={stopped}")).await, [7, 100_007, 7, 0]);
    order(&world, "delete", &id).await;
    world.settle().await;
    let deleted = seconds(&world, BEGIN).await;
    world.pass_seconds(1000);
    assert_eq!(
        seconds(&world, BEGIN).await,
        deleted,
        "what is deleted costs nothing, and what it cost stays"
    );
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM usage_records WHERE dt_to IS NULL").await, 0);
}

#[tokio::test]
async fn an_hour_costs_what_the_catalogue_says() {
    let world = World::new().await;
    let id = world.create(json!({"machineType": "A4000", "publicIpType": "dynamic"})).await;
    world.settle().await;
    world.pass_seconds(730 * 3600);
    let told = usage(&world, BEGIN).await;
    let item = &told["items"][0];
    assert_eq!(
        (&item["kind"], &item["id"], &item["machineType"]),
        (&json!("machine"), &json!(id), &json!("A4000"))
    );
    assert_eq!(
        (&item["hours"], &item["gpuHours"], &item["gbHours"]),
        (&json!(730.0), &json!(730.0), &json!(0.0))
    );
    assert_eq!(item["gpuSeconds"], json!(730 * 3600));
    let machine = world.machine(&id).await;
    assert_eq!(item["amount"], format!("{:.2}", machine.usage_rate * 730.0));
    let disk = &told["items"][1];
    assert_eq!(
        (&disk["kind"], &disk["machineId"], &disk["gbHours"]),
        (&json!("storage"), &json!(id), &json!(36_500.0))
    );
    assert_eq!(disk["amount"], format!("{:.2}", machine.storage_rate));
    assert_eq!((&told["items"][2]["kind"], &told["items"][2]["amount"]), (&json!("address"), &json!("3.00")));
    assert_eq!(told["amount"], format!("{:.2}", machine.usage_rate * 730.0 + machine.storage_rate + 3.0));
}

#[tokio::test]
async fn a_static_address_is_billed_until_it_is_released() {
    let world = World::new().await;
    let id = world.create(json!({"publicIpType": "static", "startOnCreate": false})).await;
    world.settle().await;
    world.pass_seconds(100);
    order(&world, "delete", &id).await;
    world.settle().await;
    let listed = world.ok("GET /v1/public-ips", Value::Null).await;
    let ip = listed["items"][0]["ip"].as_str().unwrap().to_owned();
    world.pass_seconds(50);
    let told = items(&world, BEGIN).await;
    let address = told.iter().find(|item| item.0 == "address").unwrap();
    assert_eq!((&address.1, address.3), (&ip, 150), "{told:?}");
    world.ok(&format!("DELETE /v1/public-ips/{ip}"), Value::Null).await;
    world.pass_seconds(1000);
    assert_eq!(seconds(&world, BEGIN).await[2], 150);
    // The next one is claimed without a machine, and leads from one to another.
    let claimed = world.ok("POST /v1/public-ips", json!({"region": "ny2"})).await;
    assert_eq!(claimed["ip"], json!(ip));
    let other = world.create(json!({"publicIpType": "dynamic"})).await;
    world.settle().await;
    world.pass_seconds(10);
    assert_eq!(seconds(&world, BEGIN).await[2], 150 + 10 + 10, "a dynamic one and a claimed one");
    world.ok(&format!("PUT /v1/public-ips/{ip}"), json!({"machineId": other})).await;
    world.settle().await;
    let at = seconds(&world, BEGIN).await[2];
    world.pass_seconds(10);
    assert_eq!(seconds(&world, BEGIN).await[2], at + 10, "the dynamic one is given back");
    world.ok(&format!("PUT /v1/machines/{other}"), json!({"publicIpType": "none"})).await;
    world.settle().await;
    let at = seconds(&world, BEGIN).await[2];
    world.pass_seconds(10);
    assert_eq!(seconds(&world, BEGIN).await[2], at + 10, "it stays claimed");
}

#[tokio::test]
async fn a_drive_is_billed_by_its_size_from_its_order_to_its_end() {
    let world = World::new().await;
    let network = world.ok("POST /v1/private-networks", json!({"name": "lab", "region": "ny2"})).await;
    let drive = json!({"name": "data", "size": 2, "region": "ny2", "networkId": network["id"]});
    let drive = world.ok("POST /v1/shared-drives", drive).await;
    let id = drive["id"].as_str().unwrap();
    world.settle().await;
    world.pass_seconds(100);
    world.ok(&format!("POST /v1/shared-drives/{id}/resize"), json!({"size": 5})).await;
    world.settle().await;
    world.pass_seconds(10);
    world.ok(&format!("DELETE /v1/shared-drives/{id}"), Value::Null).await;
    world.settle().await;
    world.pass_seconds(1000);
    let told = usage(&world, BEGIN).await;
    let item = &told["items"][0];
    assert_eq!((&item["kind"], &item["id"], item.get("machineId")), (&json!("drive"), &json!(id), None));
    let (seconds, gb_seconds) = (item["seconds"].as_u64().unwrap(), item["gbSeconds"].as_u64().unwrap());
    assert_eq!((seconds, gb_seconds), (110, 100 * 2 + 10 * 5));
}

#[tokio::test]
async fn each_type_that_a_machine_had_is_told_alone() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    world.pass_seconds(100);
    order(&world, "stop", &id).await;
    world.settle().await;
    let before = seconds(&world, BEGIN).await;
    // What a change of type and size leaves to the visits.
    world
        .run(&format!(
            "UPDATE machines SET next_machine_type = 'C3', next_disk_gib = 60, settled = FALSE WHERE id = '{id}'"
        ))
        .await;
    world.drift().await;
    let grown = now(&world).to_string();
    order(&world, "start", &id).await;
    world.settle().await;
    world.pass_seconds(50);
    let machines: Vec<_> =
        items(&world, BEGIN).await.into_iter().filter(|item| item.0 == "machine").collect();
    let of = |index: usize| (machines[index].2.as_str(), machines[index].3);
    assert_eq!((machines.len(), of(0), of(1)), (2, ("C2", before[0]), ("C3", 50)), "{machines:?}");
    let after = usage(&world, &format!("from={grown}")).await;
    assert_eq!(
        (&after["totals"][1]["seconds"], &after["totals"][1]["gbSeconds"]),
        (&json!(50), &json!(50 * 60))
    );
}

#[tokio::test]
async fn a_create_that_fails_leaves_nothing_that_is_billed() {
    use deckle_engine::emulator::{Call, Fault};
    let world = World::new().await;
    world.host.fail_always(Some((Call::PowerOn, Fault::Final)));
    let id = world.create(json!({"publicIpType": "dynamic"})).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("off".into(), "create error".into()));
    let before = seconds(&world, BEGIN).await;
    world.pass_seconds(5000);
    assert_eq!(seconds(&world, BEGIN).await, before);
}

#[tokio::test]
async fn what_is_open_is_billed_at_new_prices_from_the_next_start_of_the_server_on() {
    let mut world = World::new().await;
    world.create(json!({})).await;
    world.settle().await;
    world.pass_seconds(3600);
    let cheap = "UPDATE usage_records SET price_nano = 1000000000 WHERE kind = 'machine'";
    world.run(cheap).await;
    world.restart_server().await;
    world.pass_seconds(3600);
    let told = items(&world, BEGIN).await;
    assert_eq!((told[0].3, told[0].4.as_str()), (7200, "1.009"));
    let records = "SELECT COUNT(*) AS n FROM usage_records WHERE kind = 'machine'";
    assert_eq!(world.number(records).await, 2);
    world.restart_server().await;
    assert_eq!(world.number(records).await, 2, "nothing has changed");
}
