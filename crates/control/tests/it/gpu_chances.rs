//! Whatever happens on a host with eight GPUs, and in whatever order: no device has two machines, and none is
//! lost.

use std::collections::BTreeMap;

use deckle_api::ids::MachineId;
use deckle_control::reconciler;
use deckle_engine::Engine;
use deckle_engine::pci::PciAddress;
use deckle_engine::specs::HostNetwork;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::gpus::some;
use crate::world::{World, machine, sweep_step};

/// The types that machines have here, each with its number of GPUs.
const TYPES: [(&str, i64); 3] = [("A4000", 1), ("A4000x2", 2), ("A4000x4", 4)];
/// How many worlds there are, and how much happens in each.
const WORLDS: u32 = 5;
const EVENTS: usize = 200;
/// The most machines at a time.
const MACHINES_MAX: usize = 12;

#[derive(Debug, Clone)]
enum Chance {
    Create(usize),
    Order(&'static str, usize),
    Crash(usize),
    GuestPowersOff(usize),
    RebootHost,
    RestartServer,
    KillServer(usize),
    Hide(u8, bool),
    Resist(u8, bool),
    Release(u8),
}

fn chances() -> impl Strategy<Value = (Chance, usize)> {
    let which = 0..MACHINES_MAX;
    let bus = 1..=8u8;
    let chance = prop_oneof![
        8 => (0..TYPES.len()).prop_map(Chance::Create),
        6 => which.clone().prop_map(|one| Chance::Order("start", one)),
        6 => which.clone().prop_map(|one| Chance::Order("stop", one)),
        2 => which.clone().prop_map(|one| Chance::Order("restart", one)),
        4 => which.clone().prop_map(|one| Chance::Order("delete", one)),
        4 => which.clone().prop_map(Chance::Crash),
        2 => which.prop_map(Chance::GuestPowersOff),
        1 => Just(Chance::RebootHost),
        3 => Just(Chance::RestartServer),
        3 => (0..6usize).prop_map(Chance::KillServer),
        1 => (bus.clone(), any::<bool>()).prop_map(|(bus, gone)| Chance::Hide(bus, gone)),
        1 => (bus.clone(), any::<bool>()).prop_map(|(bus, stubborn)| Chance::Resist(bus, stubborn)),
        2 => bus.prop_map(Chance::Release),
    ];
    (chance, 0..12usize)
}

struct Story {
    world: World,
    machines: Vec<(MachineId, i64)>,
}

impl Story {
    async fn new() -> Self {
        Self { world: World::with_gpus(some("A4000", 8, 2)).await, machines: Vec::new() }
    }

    async fn happen(&mut self, chance: &Chance) {
        let one = |which: usize| self.machines.get(which).map(|(id, _)| id.clone());
        match chance {
            Chance::Create(_) if self.machines.len() == MACHINES_MAX => {}
            Chance::Create(which) => {
                let (machine_type, count) = TYPES[*which];
                let id = self.world.create(json!({"machineType": machine_type})).await;
                self.machines.push((id, count));
            }
            Chance::Order(verb, which) => {
                let Some(id) = one(*which) else { return };
                let line = match *verb {
                    "delete" => format!("DELETE /v1/machines/{id}"),
                    verb => format!("PATCH /v1/machines/{id}/{verb}"),
                };
                // What is under way may be in the way, and what is deleted is not found.
                let status = self.world.call(&line, Value::Null).await.status;
                assert!([200, 404, 409, 412].contains(&status), "{line}: {status}");
            }
            Chance::Crash(which) => one(*which).into_iter().for_each(|id| self.world.host.crash(&id)),
            Chance::GuestPowersOff(which) => {
                one(*which).into_iter().for_each(|id| self.world.host.guest_powers_off(&id));
            }
            Chance::RebootHost => self.world.host.reboot_host(),
            Chance::RestartServer => self.world.restart_server().await,
            Chance::KillServer(nth) => self.kill(*nth).await,
            Chance::Hide(bus, gone) => self.world.host.hide_gpu(&at(*bus), *gone),
            Chance::Resist(bus, stubborn) => self.world.host.let_gpu_resist(&at(*bus), *stubborn),
            Chance::Release(bus) => {
                let line = format!("POST /admin/gpus/{}/release", at(*bus));
                let status = self.world.admin(&line, json!({})).await.status;
                assert!([200, 404, 412].contains(&status), "{status}");
            }
        }
    }

    /// The server ends at a moment of a visit, if one comes, and starts again.
    async fn kill(&mut self, nth: usize) {
        let (reached, hook) = self.world.hooked.stop_at(nth);
        self.world.hooked.hook(Some(hook));
        tokio::select! {
            biased;
            () = reached.notified() => {}
            () = self.visits(8) => {}
        }
        self.world.restart_server().await;
    }

    async fn visits(&self, number: usize) {
        for _ in 0..number {
            if !reconciler::visit_next(&self.world.app).await {
                self.world.pass_seconds(3);
            }
        }
    }

    /// What must hold at any moment.
    async fn check(&self) {
        let mut holders: BTreeMap<PciAddress, &MachineId> = BTreeMap::new();
        let host = &self.world.host;
        for (id, count) in &self.machines {
            let held = host.look_machine(id, &HostNetwork::Own(id.clone())).await.unwrap().gpus;
            assert!(held.is_empty() || held.len() as i64 == *count, "{id} has {held:?}");
            for gpu in held {
                let row = format!("address = '{gpu}' AND machine_id = '{id}'");
                assert_eq!(self.rows(&row).await, 1, "{id} runs with {gpu} and no row says so");
                let other = holders.insert(gpu.clone(), id);
                assert_eq!(other, None, "{gpu} has two machines, one of them {id}");
            }
        }
        for (id, count) in &self.machines {
            let rows = self.rows(&format!("machine_id = '{id}'")).await;
            let placed = format!("SELECT COUNT(*) AS n FROM machines WHERE id = '{id}' AND placed");
            assert_eq!(rows, count * self.world.number(&placed).await, "the devices of {id}");
        }
        let gone = "SELECT COUNT(*) AS n FROM gpus JOIN machines ON machines.id = machine_id \
                    WHERE dt_deleted IS NOT NULL";
        assert_eq!(self.world.number(gone).await, 0, "a deleted machine has none");
    }

    async fn rows(&self, which: &str) -> i64 {
        self.world.number(&format!("SELECT COUNT(*) AS n FROM gpus WHERE {which}")).await
    }

    /// Everything is deleted, every device comes back: then all eight are free, and go to one more machine.
    async fn end(mut self) {
        for bus in 1..=8 {
            self.happen(&Chance::Hide(bus, false)).await;
            self.happen(&Chance::Resist(bus, false)).await;
        }
        for which in 0..self.machines.len() {
            self.happen(&Chance::Order("delete", which)).await;
        }
        self.world.settle().await;
        self.check().await;
        self.world.admin("GET /admin/gpus", json!({})).await;
        for bus in 1..=8 {
            self.happen(&Chance::Release(bus)).await;
        }
        let free = "machine_id IS NULL AND quarantined IS NULL";
        assert_eq!((self.rows(free).await, self.rows("1 = 1").await), (8, 8), "none is lost");
        for _ in 0..2 {
            let ordered =
                self.world.ok("POST /v1/machines", machine(json!({"machineType": "A4000x4"}))).await;
            let id: MachineId = serde_json::from_value(ordered["data"]["id"].clone()).unwrap();
            self.world.settle().await;
            assert_eq!(self.world.state(&id).await.0, "ready");
        }
        assert_eq!(self.rows(free).await, 0);
    }
}

fn at(bus: u8) -> PciAddress {
    format!("0000:{bus:02x}:00.0").parse().unwrap()
}

#[test]
fn no_gpu_has_two_machines_and_none_is_lost() {
    let worlds = WORLDS.div_ceil(u32::try_from(sweep_step()).unwrap());
    let cases =
        Config { cases: worlds, max_shrink_iters: 40, failure_persistence: None, ..Config::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let events = prop::collection::vec(chances(), EVENTS);
    let told = TestRunner::new(cases).run(&events, |events| {
        runtime.block_on(async {
            let mut story = Story::new().await;
            for (chance, visits) in &events {
                story.happen(chance).await;
                story.check().await;
                story.visits(*visits).await;
                story.check().await;
                story.machines = story.there().await;
            }
            story.end().await;
        });
        Ok(())
    });
    told.unwrap();
}

impl Story {
    /// The machines that are not deleted.
    async fn there(&self) -> Vec<(MachineId, i64)> {
        let page = self.world.ok("GET /v1/machines?limit=120&order=asc", Value::Null).await;
        let there =
            |id: &MachineId| page["items"].as_array().unwrap().iter().any(|one| one["id"] == id.as_str());
        self.machines.iter().filter(|(id, _)| there(id)).cloned().collect()
    }
}
