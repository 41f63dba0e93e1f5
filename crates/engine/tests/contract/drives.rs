//! Promises on shared drives.

use deckle_engine::seen::{DriveImageSeen, DriveSeen, ShareSeen};
use deckle_engine::specs::{DriveSpec, ShareSpec};

use super::case::assert_final;
use super::{Case, GIB, Host};

pub async fn a_drive_is_made_once_and_removed_whole(host: &Host) {
    let case = Case::new(host);
    let engine = case.engine();
    assert_eq!(case.drive_seen().await, DriveSeen::default());
    for _ in 0..2 {
        engine.ensure_drive(&case.drive_spec(GIB)).await.unwrap();
        let image = Some(DriveImageSeen { size_bytes: GIB });
        assert_eq!(case.drive_seen().await, DriveSeen { image, share: None });
    }
    for _ in 0..2 {
        engine.remove_drive(&case.drive).await.unwrap();
        assert_eq!(case.drive_seen().await, DriveSeen::default());
    }
    assert_eq!(case.things().await, []);
}

pub async fn a_drive_grows_and_never_shrinks(host: &Host) {
    let case = Case::new(host);
    let engine = case.engine();
    for (asked, there) in [(GIB, GIB), (2 * GIB, 2 * GIB), (GIB, 2 * GIB)] {
        engine.ensure_drive(&case.drive_spec(asked)).await.unwrap();
        let image = Some(DriveImageSeen { size_bytes: there });
        assert_eq!(case.drive_seen().await.image, image, "after {asked} bytes were asked for");
    }
    case.clear().await;
}

pub async fn a_shared_drive_grows_and_stays_shared(host: &Host) {
    let case = Case::new(host);
    case.share().await;
    case.engine().ensure_drive(&case.drive_spec(2 * GIB)).await.unwrap();
    let image = Some(DriveImageSeen { size_bytes: 2 * GIB });
    let share = Some(ShareSeen { password_number: 1 });
    assert_eq!(case.drive_seen().await, DriveSeen { image, share });
    case.clear().await;
}

pub async fn a_share_is_of_one_network_and_has_one_password(host: &Host) {
    let case = Case::new(host);
    case.share().await;
    case.share().await;
    assert_eq!(case.drive_seen().await.share, Some(ShareSeen { password_number: 1 }));
    let elsewhere = Case::new(host);
    let seen = case.engine().look_drive(&case.drive, elsewhere.private_network()).await.unwrap();
    assert_eq!(seen.share, None, "the drive is seen in a network that it is not shared in");
    let renewed = ShareSpec { password: "another one".to_owned(), password_number: 2, ..case.share_spec() };
    case.engine().ensure_share(&renewed).await.unwrap();
    assert_eq!(case.drive_seen().await.share, Some(ShareSeen { password_number: 2 }));
    case.clear().await;
}

pub async fn a_share_goes_and_its_neighbour_stays(host: &Host) {
    let case = Case::new(host);
    let neighbour = case.neighbour();
    case.share().await;
    neighbour.share().await;
    for _ in 0..2 {
        case.engine().remove_share(&case.drive, case.private_network()).await.unwrap();
        assert_eq!(case.drive_seen().await.share, None);
    }
    assert!(case.drive_seen().await.image.is_some(), "the image went with the share");
    assert!(neighbour.drive_seen().await.share.is_some(), "a share went with its neighbour");
    case.engine().ensure_share(&case.share_spec()).await.unwrap();
    assert!(case.drive_seen().await.share.is_some());
    neighbour.clear_drive().await;
    case.clear().await;
}

pub async fn a_share_needs_its_drive_and_its_network(host: &Host) {
    let case = Case::new(host);
    let engine = case.engine();
    engine.ensure_drive(&case.drive_spec(GIB)).await.unwrap();
    let error = engine.ensure_share(&case.share_spec()).await.expect_err("there is no network");
    assert!(!error.is_final(), "a network can still be made: {}", error.told());
    engine.remove_drive(&case.drive).await.unwrap();
    engine.ensure_network(&case.network_spec()).await.unwrap();
    assert_final(engine.ensure_share(&case.share_spec()).await);
    case.clear().await;
}

impl Case<'_> {
    pub fn drive_spec(&self, size_bytes: u64) -> DriveSpec {
        DriveSpec { drive: self.drive.clone(), network: self.private_network().clone(), size_bytes }
    }

    pub fn share_spec(&self) -> ShareSpec {
        ShareSpec {
            drive: self.drive.clone(),
            network: self.private_network().clone(),
            cidr: self.network_spec().cidr,
            username: self.drive.to_string(),
            password: "the first one".to_owned(),
            password_number: 1,
        }
    }

    /// Makes the network and a drive of 1 GiB, and shares it.
    pub async fn share(&self) {
        self.engine().ensure_network(&self.network_spec()).await.unwrap();
        self.engine().ensure_drive(&self.drive_spec(GIB)).await.unwrap();
        self.engine().ensure_share(&self.share_spec()).await.unwrap();
    }

    pub async fn drive_seen(&self) -> DriveSeen {
        self.engine().look_drive(&self.drive, self.private_network()).await.unwrap()
    }
}
