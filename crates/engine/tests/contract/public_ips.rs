//! Promises on public addresses. The host has few, so promises take turns.

use deckle_engine::seen::HostThing;

use super::{Case, Host};

/// Held by a promise while it uses the host's public addresses.
pub(super) static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

pub async fn a_public_address_leads_to_a_machine_until_it_is_taken(host: &Host) {
    let _turn = TURN.lock().await;
    let case = Case::new(host);
    case.plug().await;
    assert_eq!(case.seen().await.public_ip, None);
    let [public_ip, _] = host.public_ips;
    for _ in 0..2 {
        case.engine().ensure_public_ip(&case.public_ip_spec(public_ip)).await.unwrap();
        assert_eq!(case.seen().await.public_ip, Some(public_ip));
    }
    for _ in 0..2 {
        case.engine().remove_public_ip(&case.machine, &case.network).await.unwrap();
        assert_eq!(case.seen().await.public_ip, None);
    }
    let neighbour = case.neighbour();
    neighbour.plug().await;
    case.engine().ensure_public_ip(&neighbour.public_ip_spec(public_ip)).await.unwrap();
    assert_eq!(neighbour.seen().await.public_ip, Some(public_ip));
    assert_eq!(case.seen().await.public_ip, None);
    neighbour.engine().remove_nic(&neighbour.machine, &neighbour.network).await.unwrap();
    assert_eq!(neighbour.seen().await.public_ip, None, "an unplugged machine keeps no address");
    case.engine().ensure_public_ip(&case.public_ip_spec(public_ip)).await.unwrap();
    assert_eq!(case.seen().await.public_ip, Some(public_ip));
    case.clear().await;
}

pub async fn a_machine_has_one_public_address(host: &Host) {
    let _turn = TURN.lock().await;
    let case = Case::new(host);
    case.plug().await;
    for public_ip in host.public_ips {
        case.engine().ensure_public_ip(&case.public_ip_spec(public_ip)).await.unwrap();
        assert_eq!(case.seen().await.public_ip, Some(public_ip));
    }
    let neighbour = case.neighbour();
    neighbour.plug().await;
    let [left, _] = host.public_ips;
    case.engine().ensure_public_ip(&neighbour.public_ip_spec(left)).await.unwrap();
    case.engine().remove_public_ip(&case.machine, &case.network).await.unwrap();
    assert_eq!(case.seen().await.public_ip, None);
    assert_eq!(neighbour.seen().await.public_ip, Some(left));
    neighbour.clear().await;
}

pub async fn a_public_address_moves_in_one_call(host: &Host) {
    let _turn = TURN.lock().await;
    let [public_ip, _] = host.public_ips;
    let first = Case::new(host);
    let (near, far) = (first.neighbour(), Case::new(host));
    first.plug().await;
    near.plug().await;
    far.plug().await;
    first.engine().ensure_public_ip(&first.public_ip_spec(public_ip)).await.unwrap();
    for (from, to) in [(&first, &near), (&near, &far), (&far, &first)] {
        for _ in 0..2 {
            to.engine().ensure_public_ip(&to.public_ip_spec(public_ip)).await.unwrap();
            assert_eq!((from.seen().await.public_ip, to.seen().await.public_ip), (None, Some(public_ip)));
        }
        for _ in 0..2 {
            from.engine().remove_public_ip(&from.machine, &from.network).await.unwrap();
            assert_eq!(to.seen().await.public_ip, Some(public_ip), "what is another's by now stays there");
        }
        let things = host.engine.look_things().await.unwrap();
        let name = |thing: &HostThing| (thing.of == from.machine.as_str()).then(|| thing.name.clone());
        let left: Vec<_> = things.iter().filter_map(name).collect();
        assert!(!left.iter().any(|name| name.contains(&public_ip.to_string())), "{left:?}");
    }
    far.clear().await;
    near.engine().remove_nic(&near.machine, &near.network).await.unwrap();
    first.clear().await;
}
