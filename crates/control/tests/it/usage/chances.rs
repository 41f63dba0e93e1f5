//! Whatever happens to machines, and in whatever order: their usage is what one who looks at them all the time
//! has seen.

use std::collections::BTreeMap;

use deckle_api::ids::MachineId;
use deckle_control::reconciler;
use deckle_engine::emulator::{Call, Fault};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::{BEGIN, items};
use crate::world::{World, machine, sweep_step};

/// How many worlds there are, and how much happens in each.
const WORLDS: u32 = 4;
const EVENTS: usize = 60;
/// The most machines at a time.
const MACHINES_MAX: usize = 6;

#[derive(Debug, Clone)]
enum Chance {
    Create(&'static str, &'static str, bool),
    Order(&'static str, usize),
    Retype(usize),
    Crash(usize),
    GuestPowersOff(usize),
    RebootHost,
    Fail(Option<(Call, Fault)>),
    RestartServer,
    KillServer(usize),
}

fn chances() -> impl Strategy<Value = (Chance, usize, i64)> {
    let which = 0..MACHINES_MAX;
    let verb = prop_oneof![Just("start"), Just("stop"), Just("restart"), Just("delete")];
    let kind = prop_oneof![Just("none"), Just("dynamic"), Just("static")];
    let machine_type = prop_oneof![Just("C2"), Just("C3"), Just("A4000")];
    let call = prop_oneof![
        Just(Call::EnsureDisk),
        Just(Call::PowerOn),
        Just(Call::CutPower),
        Just(Call::RemoveDisk)
    ];
    let fault = prop_oneof![Just(Fault::Passing), Just(Fault::Final)];
    let chance = prop_oneof![
        6 => (machine_type, kind, any::<bool>()).prop_map(|(of, ip, on)| Chance::Create(of, ip, on)),
        12 => (verb, which.clone()).prop_map(|(verb, one)| Chance::Order(verb, one)),
        2 => which.clone().prop_map(Chance::Retype),
        2 => which.clone().prop_map(Chance::Crash),
        2 => which.prop_map(Chance::GuestPowersOff),
        1 => Just(Chance::RebootHost),
        2 => (call, fault).prop_map(|fault| Chance::Fail(Some(fault))),
        4 => Just(Chance::Fail(None)),
        2 => Just(Chance::RestartServer),
        3 => (0..6usize).prop_map(Chance::KillServer),
    ];
    (chance, 0..14usize, 1..5000i64)
}

/// What is billed: a kind, an object, and a type.
type Key = (String, String, String);

struct Story {
    world: World,
    seen: std::sync::Mutex<BTreeMap<Key, u64>>,
}

impl Story {
    async fn list(&self, noun: &str) -> Vec<Value> {
        let page = self.world.ok(&format!("GET /v1/{noun}?limit=120&order=asc"), Value::Null).await;
        page["items"].as_array().unwrap().clone()
    }

    /// Lets time pass. One who looks writes down what is there meanwhile.
    async fn pass(&self, seconds: i64) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut there: Vec<Key> = Vec::new();
        for machine in self.list("machines").await {
            let id = text(&machine["id"]);
            if machine["state"] != "off" {
                there.push(("machine".into(), id.clone(), text(&machine["machineType"])));
            }
            if machine["publicIpType"] == "dynamic" && !machine["publicIp"].is_null() {
                there.push(("address".into(), text(&machine["publicIp"]), String::new()));
            }
            // Whether its disk is made is the one thing that no answer tells.
            let made = format!("SELECT COUNT(*) AS n FROM machines WHERE id = '{id}' AND disk_made");
            if self.world.number(&made).await == 1 {
                there.push(("storage".into(), id, String::new()));
            }
        }
        for address in self.list("public-ips").await {
            there.push(("address".into(), text(&address["ip"]), String::new()));
        }
        let mut seen = self.seen.lock().unwrap();
        there.into_iter().for_each(|key| *seen.entry(key).or_default() += seconds.unsigned_abs());
        self.world.pass_seconds(seconds);
    }

    async fn visits(&self, number: usize) {
        for _ in 0..number {
            if !reconciler::visit_next(&self.world.app).await {
                self.pass(3).await;
            }
        }
    }

    async fn happen(&mut self, chance: &Chance) {
        let ids: Vec<MachineId> = self
            .list("machines")
            .await
            .iter()
            .map(|one| one["id"].as_str().unwrap().parse().unwrap())
            .collect();
        let one = |which: usize| ids.get(which).cloned();
        match chance {
            Chance::Create(..) if ids.len() == MACHINES_MAX => {}
            Chance::Create(of, ip, on) => {
                let wanted = json!({"machineType": of, "publicIpType": ip, "startOnCreate": on});
                self.world.ok("POST /v1/machines", machine(wanted)).await;
            }
            Chance::Order(verb, which) => {
                let Some(id) = one(*which) else { return };
                let line = match *verb {
                    "delete" => format!("DELETE /v1/machines/{id}"),
                    verb => format!("PATCH /v1/machines/{id}/{verb}"),
                };
                let status = self.world.call(&line, Value::Null).await.status;
                assert!([200, 404, 409, 412].contains(&status), "{line}: {status}");
            }
            // What a change of type leaves to the visits of a machine that is off.
            Chance::Retype(which) => {
                let Some(id) = one(*which) else { return };
                let off = "intent = 'off' AND shown_state = 'off' AND settled AND NOT placed";
                let change = "next_machine_type = 'C4', settled = FALSE";
                self.world.run(&format!("UPDATE machines SET {change} WHERE id = '{id}' AND {off}")).await;
            }
            Chance::Crash(which) => one(*which).into_iter().for_each(|id| self.world.host.crash(&id)),
            Chance::GuestPowersOff(which) => {
                one(*which).into_iter().for_each(|id| self.world.host.guest_powers_off(&id));
            }
            Chance::RebootHost => self.world.host.reboot_host(),
            Chance::Fail(fault) => self.world.host.fail_always(*fault),
            Chance::RestartServer => self.world.restart_server().await,
            Chance::KillServer(nth) => self.kill(*nth).await,
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

    /// The usage is what was seen, and the sum of its parts.
    async fn check(&self, cuts: &[i64]) {
        let told = items(&self.world, BEGIN).await;
        let seconds: BTreeMap<Key, u64> = told
            .into_iter()
            .map(|(kind, id, machine_type, seconds, _)| ((kind, id, machine_type), seconds))
            .collect();
        assert_eq!(&seconds, &*self.seen.lock().unwrap());
        let end = super::now(&self.world);
        let moment = |cut: i64| deckle_api::Timestamp(cut.min(end.0)).to_string();
        let mut edges = vec![moment(1_700_000_000_000_000)];
        edges.extend(cuts.iter().map(|cut| moment(1_700_000_000_000_000 + cut * 1000)));
        edges.push(end.to_string());
        edges.sort();
        let whole = super::usage(&self.world, &format!("from={}&to={end}", edges[0])).await;
        let nano = |told: &Value| {
            let (units, fraction) = told["amount"].as_str().unwrap().split_once('.').unwrap();
            units.parse::<i128>().unwrap() * 1_000_000_000
                + format!("{fraction:0<9}").parse::<i128>().unwrap()
        };
        let mut sum = 0;
        for part in edges.windows(2) {
            sum += nano(&super::usage(&self.world, &format!("from={}&to={}", part[0], part[1])).await);
        }
        assert_eq!(sum, nano(&whole), "{edges:?}");
        // What is kept of closed intervals by month is what they came to.
        let months = "SELECT COALESCE(SUM(amount_nano), 0) AS n FROM usage_months".to_owned();
        if self.world.number("SELECT COUNT(*) AS n FROM usage_records WHERE dt_to IS NULL").await == 0 {
            let cast = months
                .replace("COALESCE(SUM(amount_nano), 0)", "CAST(COALESCE(SUM(amount_nano), 0) AS BIGINT)");
            assert_eq!(i128::from(self.world.number(&cast).await), nano(&whole));
        }
    }
}

#[test]
fn usage_is_what_one_who_looks_all_the_time_has_seen() {
    let worlds = WORLDS.div_ceil(u32::try_from(sweep_step()).unwrap());
    let cases =
        Config { cases: worlds, max_shrink_iters: 40, failure_persistence: None, ..Config::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let events = prop::collection::vec(chances(), EVENTS);
    let cuts = prop::collection::vec(0..300_000_000i64, 3);
    let told = TestRunner::new(cases).run(&(events, cuts), |(events, cuts)| {
        runtime.block_on(async {
            let mut story = Story { world: World::new().await, seen: Default::default() };
            for (chance, visits, seconds) in &events {
                story.happen(chance).await;
                story.visits(*visits).await;
                story.pass(*seconds).await;
            }
            story.check(&cuts).await;
            story.world.host.fail_always(None);
            for which in (0..MACHINES_MAX).rev() {
                story.happen(&Chance::Order("delete", which)).await;
            }
            for address in story.list("public-ips").await {
                let ip = address["ip"].as_str().unwrap();
                story.world.ok(&format!("DELETE /v1/public-ips/{ip}"), Value::Null).await;
            }
            for _ in 0..400 {
                story.visits(1).await;
            }
            assert!(story.list("machines").await.is_empty());
            story.check(&cuts).await;
        });
        Ok(())
    });
    told.unwrap();
}
