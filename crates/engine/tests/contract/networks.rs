//! Promises on networks and on places in them.

use deckle_engine::seen::NetworkSeen;
use deckle_engine::specs::NicSpec;

use super::public_ips::TURN;
use super::{Case, Host};

pub async fn a_network_is_made_once_and_removed_whole(host: &Host) {
    let case = Case::new(host);
    let engine = case.engine();
    assert_eq!(engine.look_network(&case.network_spec()).await.unwrap(), NetworkSeen::Absent);
    for _ in 0..2 {
        engine.ensure_network(&case.network_spec()).await.unwrap();
        assert_eq!(engine.look_network(&case.network_spec()).await.unwrap(), NetworkSeen::Whole);
    }
    assert!(!case.things().await.is_empty());
    for _ in 0..2 {
        engine.remove_network(&case.network).await.unwrap();
        assert_eq!(engine.look_network(&case.network_spec()).await.unwrap(), NetworkSeen::Absent);
        assert_eq!(case.things().await, []);
    }
}

pub async fn a_removed_network_takes_all_in_it_along(host: &Host) {
    let _turn = TURN.lock().await;
    let case = Case::new(host);
    case.plug().await;
    let public_ip = case.public_ip_spec(host.public_ips[0]);
    case.engine().ensure_public_ip(&public_ip).await.unwrap();
    assert!(case.seen().await.nic && case.seen().await.port);
    case.engine().remove_network(&case.network).await.unwrap();
    let seen = case.seen().await;
    assert_eq!((seen.nic, seen.port, seen.public_ip), (false, false, None));
    assert_eq!(case.things().await, []);
    case.engine().ensure_network(&case.network_spec()).await.unwrap();
    let seen = case.seen().await;
    assert_eq!((seen.nic, seen.public_ip), (false, None), "made anew, a network is empty");
    let neighbour = case.neighbour();
    neighbour.plug().await;
    let again = neighbour.public_ip_spec(host.public_ips[0]);
    neighbour.engine().ensure_public_ip(&again).await.unwrap();
    neighbour.clear().await;
    case.clear().await;
}

pub async fn networks_with_the_same_range_share_nothing(host: &Host) {
    let [one, other] = [Case::on_its_own(host), Case::on_its_own(host)];
    one.plug().await;
    other.plug().await;
    assert!(one.seen().await.nic && other.seen().await.nic);
    let crossed = host.engine.look_machine(&one.machine, &other.network).await.unwrap();
    assert!(!crossed.nic, "a machine is seen in a network that it is not in");
    one.clear().await;
    assert!(other.seen().await.nic);
    other.clear().await;
}

pub async fn a_machine_is_plugged_in_once_and_unplugged_whole(host: &Host) {
    let case = Case::new(host);
    case.plug().await;
    case.plug().await;
    assert!(case.seen().await.nic);
    let renamed = NicSpec { names: vec![case.machine.to_string(), "web".to_owned()], ..case.nic_spec() };
    case.engine().ensure_nic(&renamed).await.unwrap();
    assert!(case.seen().await.nic);
    let neighbour = case.neighbour();
    neighbour.plug().await;
    for _ in 0..2 {
        case.engine().remove_nic(&case.machine, &case.network).await.unwrap();
        assert!(!case.seen().await.nic);
    }
    assert!(neighbour.seen().await.nic, "a machine was unplugged with its neighbour");
    assert_eq!(super::case::things_of(host, case.machine.as_str()).await, []);
    neighbour.clear().await;
}

pub async fn a_machine_is_plugged_into_a_network_that_is_there(host: &Host) {
    let case = Case::new(host);
    let error = case.engine().ensure_nic(&case.nic_spec()).await.expect_err("there is no network");
    assert!(!error.is_final(), "a network can still be made: {}", error.told());
    assert!(!case.seen().await.nic);
    case.clear().await;
}
