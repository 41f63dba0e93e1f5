//! Promises on snapshots, restores, and templates made of disks.

use deckle_engine::specs::{CaptureSpec, DiskSpec, RestoreSpec};

use super::case::{assert_final, template_id, things_of};
use super::{Case, GIB, Host};

pub async fn snapshots_are_taken_once_and_removed_one_by_one(host: &Host) {
    let case = Case::new(host);
    assert_eq!(case.snapshots().await, []);
    assert_final(case.engine().ensure_snapshot(&case.machine, &case.snapshot(1)).await);
    let disk = case.disk_spec().await;
    case.engine().ensure_disk(&disk).await.unwrap();
    for (number, there) in [(2, vec![2]), (1, vec![2, 1]), (2, vec![2, 1]), (3, vec![2, 1, 3])] {
        case.take(number).await;
        assert_eq!(case.snapshots().await, case.numbered(&there), "after {number} was taken");
    }
    let seen = case.engine().look_snapshots(&case.machine).await.unwrap();
    assert!(seen.iter().all(|seen| seen.size_bytes == disk.size_bytes && seen.taken.0 > 0), "{seen:?}");
    for (number, there) in [(1, vec![2, 3]), (1, vec![2, 3]), (4, vec![2, 3]), (2, vec![3]), (3, vec![])] {
        case.engine().remove_snapshot(&case.machine, &case.snapshot(number)).await.unwrap();
        assert_eq!(case.snapshots().await, case.numbered(&there), "after {number} was removed");
    }
    case.clear().await;
    case.engine().remove_snapshot(&case.machine, &case.snapshot(1)).await.unwrap();
}

pub async fn a_snapshot_of_a_machine_that_is_on_leaves_it_on(host: &Host) {
    let case = Case::new(host);
    case.make().await;
    case.engine().power_on(&case.boot_spec(1)).await.unwrap();
    let before = case.seen().await.power;
    for number in [1, 2, 1] {
        case.take(number).await;
    }
    assert_eq!(case.snapshots().await, case.numbered(&[1, 2]));
    for _ in 0..2 {
        case.engine().remove_snapshot(&case.machine, &case.snapshot(1)).await.unwrap();
    }
    assert_eq!(case.snapshots().await, case.numbered(&[2]));
    assert_eq!(case.seen().await.power, before);
    case.clear().await;
}

pub async fn a_restore_is_counted_and_later_snapshots_survive_it(host: &Host) {
    let case = Case::new(host);
    case.engine().ensure_disk(&case.disk_spec().await).await.unwrap();
    case.take(1).await;
    case.take(2).await;
    for (number, generation, reached) in [(1, 1, 1), (1, 1, 1), (2, 2, 2), (1, 5, 5), (2, 3, 5)] {
        case.restore(number, generation).await.unwrap();
        assert_eq!(case.seen().await.disk.map(|disk| disk.generation), Some(reached));
        assert_eq!(case.snapshots().await, case.numbered(&[1, 2]));
    }
    case.clear().await;
}

pub async fn a_restored_disk_keeps_its_larger_size(host: &Host) {
    let case = Case::new(host);
    let small = case.disk_spec().await;
    let large = DiskSpec { size_bytes: small.size_bytes + GIB, ..small.clone() };
    case.engine().ensure_disk(&small).await.unwrap();
    case.take(1).await;
    case.engine().ensure_disk(&large).await.unwrap();
    case.take(2).await;
    let sizes: Vec<u64> =
        case.engine().look_snapshots(&case.machine).await.unwrap().iter().map(|it| it.size_bytes).collect();
    assert_eq!(sizes, [small.size_bytes, large.size_bytes]);
    for (number, generation) in [(1, 1), (2, 2), (1, 3)] {
        case.restore(number, generation).await.unwrap();
        assert_eq!(case.seen().await.disk.map(|disk| disk.size_bytes), Some(large.size_bytes));
    }
    case.clear().await;
}

pub async fn a_restore_needs_its_snapshot_and_a_machine_that_is_off(host: &Host) {
    let case = Case::new(host);
    assert_final(case.restore(1, 1).await);
    case.make().await;
    assert_final(case.restore(1, 1).await);
    case.take(1).await;
    case.engine().power_on(&case.boot_spec(1)).await.unwrap();
    case.restore(1, 1).await.expect_err("the machine is on");
    case.engine().cut_power(&case.machine).await.unwrap();
    assert_eq!(case.seen().await.disk.map(|disk| disk.generation), Some(0));
    case.restore(1, 1).await.unwrap();
    case.engine().power_on(&case.boot_spec(2)).await.unwrap();
    case.clear().await;
}

pub async fn snapshots_go_with_the_disk(host: &Host) {
    let case = Case::new(host);
    let spec = case.disk_spec().await;
    case.engine().ensure_disk(&spec).await.unwrap();
    case.take(1).await;
    case.restore(1, 4).await.unwrap();
    case.engine().remove_disk(&case.machine).await.unwrap();
    assert_eq!(case.snapshots().await, []);
    case.engine().ensure_disk(&spec).await.unwrap();
    assert_eq!(case.snapshots().await, []);
    assert_eq!(case.seen().await.disk.map(|disk| disk.generation), Some(0));
    case.clear().await;
}

pub async fn a_template_of_a_disk_outlives_the_disk(host: &Host) {
    let (source, id) = (Case::new(host), template_id());
    let disk = source.disk_spec().await;
    source.engine().ensure_disk(&disk).await.unwrap();
    source.take(1).await;
    let spec = CaptureSpec { template: id.clone(), machine: source.machine.clone() };
    let first = host.engine.ensure_template_from(&spec).await.unwrap();
    assert_eq!(first.size_bytes, disk.size_bytes);
    source.clear().await;
    assert_eq!(host.engine.ensure_template_from(&spec).await.unwrap(), first);
    assert_eq!(host.engine.look_template(&id).await.unwrap(), Some(first));

    let (made, another) = (Case::new(host), Case::new(host));
    for case in [&made, &another] {
        host.engine.ensure_disk(&case.disk_spec_on(&id).await).await.unwrap();
    }
    for _ in 0..2 {
        host.engine.remove_template(&id).await.unwrap();
    }
    assert_eq!(things_of(host, id.as_str()).await, []);
    made.clear().await;
    another.plug().await;
    host.engine.power_on(&another.boot_spec(1)).await.unwrap();
    another.clear().await;
}

pub async fn a_template_is_made_of_a_machine_that_is_off(host: &Host) {
    let (case, id) = (Case::new(host), template_id());
    let spec = CaptureSpec { template: id.clone(), machine: case.machine.clone() };
    assert_final(host.engine.ensure_template_from(&spec).await);
    case.make().await;
    host.engine.power_on(&case.boot_spec(1)).await.unwrap();
    host.engine.ensure_template_from(&spec).await.expect_err("the machine is on");
    assert_eq!(host.engine.look_template(&id).await.unwrap(), None);
    assert_eq!(things_of(host, id.as_str()).await, []);
    case.clear().await;
}

impl Case<'_> {
    pub async fn take(&self, number: u64) {
        self.engine().ensure_snapshot(&self.machine, &self.snapshot(number)).await.unwrap();
    }

    async fn restore(&self, number: u64, generation: u64) -> deckle_engine::Result<()> {
        let (machine, snapshot) = (self.machine.clone(), self.snapshot(number));
        self.engine().restore_snapshot(&RestoreSpec { machine, snapshot, generation }).await
    }

    fn numbered(&self, numbers: &[u64]) -> Vec<deckle_api::ids::SnapshotId> {
        numbers.iter().map(|number| self.snapshot(*number)).collect()
    }
}
