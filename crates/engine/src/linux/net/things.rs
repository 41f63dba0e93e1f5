//! All that an installation's networks have on the host, whoever asked for it.

use std::fs;
use std::path::Path;

use super::ip;
use super::lease_server;
use super::network_rules::{self, BRIDGE, Led, UPLINK};
use super::place::{self, Place};
use super::{Net, public_ip, rules};
use crate::error::Result;
use crate::seen::HostThing;

/// What is there, sorted. What lies in a namespace is named after it.
pub(super) async fn look(net: &Net) -> Result<Vec<HostThing>> {
    let mut things = of_processes(net)?;
    things.extend(of_files(net));
    let mut led = Vec::new();
    for namespace in place::named(&net.paths.namespace_prefix()) {
        let network = namespace.trim_start_matches(&net.paths.namespace_prefix()).to_owned();
        things.push(thing("namespace", &namespace, &network));
        if Place::Inside(namespace.clone()).is_there() {
            things.extend(of_namespace(namespace, &mut led).await?);
        }
    }
    things.extend(of_host(net, &led).await?);
    things.sort();
    things.dedup();
    Ok(things)
}

/// The installation's table on the host, if it is there.
pub(super) async fn look_host_rules(net: &Net) -> Result<Vec<HostThing>> {
    let name = net.paths.rules();
    let there = rules::look_table("inet", &name).await?.has("table", &name);
    Ok(there.then(|| thing("rule", format!("table inet {name}"), "")).into_iter().collect())
}

async fn of_namespace(namespace: String, led: &mut Vec<Led>) -> Result<Vec<HostThing>> {
    let place = Place::Inside(namespace.clone());
    let inside = ip::links(&place).await?;
    let ports = inside.iter().filter(|link| !["lo", BRIDGE, UPLINK].contains(&link.name.as_str()));
    let links = ports.map(|link| thing("link", format!("{namespace}/{}", link.name), &link.name));
    let seen = rules::look(&place).await?;
    let passes = seen.elements("plugged").into_iter().map(|element| {
        let name = format!("{namespace}/plugged {}", element.words.join(" "));
        thing("rule", name, &element.words[0])
    });
    let here = network_rules::led(&seen);
    let public =
        here.iter().map(|led| thing("rule", format!("{namespace}/public {}", led.public_ip), &led.machine));
    let things = links.chain(passes).chain(public).collect();
    led.extend(here);
    Ok(things)
}

async fn of_host(net: &Net, led: &[Led]) -> Result<Vec<HostThing>> {
    let mut things = Vec::new();
    let machine =
        |ip: &str| led.iter().find(|led| led.public_ip.to_string() == ip).map(|led| led.machine.clone());
    for link in ip::links(&Place::Host).await? {
        let Some(network) = link.name.strip_prefix(&net.paths.uplink_prefix()) else { continue };
        things.push(thing("link", &link.name, network));
        let routes = ip::routes(&Place::Host, &["dev", &link.name]).await?;
        let public = routes.into_iter().filter(|route| !route.dst.contains('/'));
        things.extend(public.map(|route| {
            let of = machine(&route.dst).unwrap_or_else(|| network.to_owned());
            thing("route", route.dst, &of)
        }));
    }
    for ip in public_ip::proxied(net).await? {
        let of = machine(&ip.to_string()).unwrap_or_default();
        things.push(thing("route", format!("proxy {ip}"), &of));
    }
    Ok(things)
}

fn of_processes(net: &Net) -> Result<Vec<HostThing>> {
    let started = lease_server::started_in(&net.paths.networks())?;
    let named = |(id, network): (_, String)| thing("process", format!("dnsmasq {id}"), &network);
    Ok(started.into_iter().map(named).collect())
}

fn of_files(net: &Net) -> Vec<HostThing> {
    let mut things = Vec::new();
    for network in names_in(&net.paths.networks()) {
        let folder = net.paths.networks().join(&network);
        things.push(thing("file", folder.display().to_string(), &network));
        for part in ["cards", "names"].map(|part| folder.join(part)) {
            let file = |name: String| thing("file", part.join(&name).display().to_string(), &name);
            things.extend(names_in(&part).into_iter().map(file));
        }
    }
    things
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn thing(kind: &str, name: impl Into<String>, of: &str) -> HostThing {
    HostThing { kind: kind.to_owned(), name: name.into(), of: of.to_owned() }
}
