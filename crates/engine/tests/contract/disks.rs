//! Promises on disks.

use deckle_engine::seen::MachineSeen;
use deckle_engine::specs::DiskSpec;

use super::case::{assert_final, template_id};
use super::{Case, GIB, Host};

pub async fn a_disk_is_made_once_and_removed_whole(host: &Host) {
    let case = Case::new(host);
    let spec = case.disk_spec().await;
    assert_eq!(case.seen().await, MachineSeen::default());
    for _ in 0..2 {
        case.engine().ensure_disk(&spec).await.unwrap();
        let disk = case.seen().await.disk.expect("it was made");
        assert_eq!(disk.size_bytes, spec.size_bytes);
        assert!(disk.used_bytes < spec.size_bytes, "a new disk is thin: {disk:?}");
    }
    assert!(!case.things().await.is_empty());
    for _ in 0..2 {
        case.engine().remove_disk(&case.machine).await.unwrap();
        assert_eq!(case.seen().await, MachineSeen::default());
        assert_eq!(case.things().await, []);
    }
}

pub async fn a_disk_grows_and_never_shrinks(host: &Host) {
    let case = Case::new(host);
    let small = case.disk_spec().await;
    let large = DiskSpec { size_bytes: small.size_bytes + GIB, ..small.clone() };
    for (asked, size_bytes) in
        [(&small, small.size_bytes), (&large, large.size_bytes), (&small, large.size_bytes)]
    {
        case.engine().ensure_disk(asked).await.unwrap();
        assert_eq!(case.seen().await.disk.map(|disk| disk.size_bytes), Some(size_bytes));
    }
    case.clear().await;
}

pub async fn a_disk_needs_its_template(host: &Host) {
    let case = Case::new(host);
    let spec = DiskSpec { template: template_id(), ..case.disk_spec().await };
    assert_final(case.engine().ensure_disk(&spec).await);
    assert_eq!(case.seen().await.disk, None);
    case.clear().await;
}

pub async fn what_was_never_made_is_removed_in_peace(host: &Host) {
    let case = Case::new(host);
    case.engine().press_power_button(&case.machine).await.unwrap();
    case.engine().remove_public_ip(&case.machine, &case.network).await.unwrap();
    case.engine().remove_template(&template_id()).await.unwrap();
    case.clear().await;
    case.clear().await;
}
