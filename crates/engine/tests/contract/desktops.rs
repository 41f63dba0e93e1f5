//! Promises on desktops.

use std::net::SocketAddr;

use deckle_engine::seen::Power;
use deckle_engine::specs::{BootSpec, DesktopSpec};

use super::case::assert_final;
use super::{Case, Host};

pub async fn a_desktop_listens_while_the_machine_is_on(host: &Host) {
    let (case, neighbour) = (Case::new(host), Case::new(host));
    let first = start(&case).await;
    let second = start(&neighbour).await;
    assert_ne!(first, second, "two machines share a desktop");
    neighbour.clear().await;
    case.engine().cut_power(&case.machine).await.unwrap();
    assert_eq!(case.seen().await.desktop, None);
    case.engine().power_on(&case.boot_spec(2)).await.unwrap();
    assert_eq!(case.seen().await.desktop, None, "a headless boot has a desktop");
    case.clear().await;
}

pub async fn a_desktop_without_a_password_is_refused(host: &Host) {
    let case = Case::new(host);
    case.make().await;
    for password in ["", "short", "too long by far", "with spa", "\u{e4}\u{e4}\u{e4}\u{e4}"] {
        assert_final(case.engine().power_on(&boot(&case, password)).await);
        assert_eq!(case.seen().await.power, Power::Off);
    }
    case.clear().await;
}

async fn start(case: &Case<'_>) -> SocketAddr {
    case.make().await;
    case.engine().power_on(&boot(case, "12345678")).await.unwrap();
    let seen = case.seen().await;
    assert!(matches!(seen.power, Power::On { boot: 1, .. }), "{seen:?}");
    let desktop = seen.desktop.expect("it has one");
    assert!(desktop.port() > 0 && desktop.ip().is_loopback(), "{desktop}");
    desktop
}

fn boot(case: &Case<'_>, password: &str) -> BootSpec {
    BootSpec { desktop: Some(DesktopSpec { password: password.to_owned() }), ..case.boot_spec(1) }
}
