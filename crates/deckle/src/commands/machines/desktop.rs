//! `deckle machine desktop`: how a machine's desktop is reached.

use std::net::IpAddr;

use anyhow::{Context, Result, bail};
use deckle_api::desktops::{Desktop, VncDesktop};
use deckle_api::ids::MachineId;
use serde_json::Value;

use crate::Cli;
use crate::client::Client;
use crate::output::{Format, Shown, print_json, view};

/// Prints the address, the password, and what to paste.
pub async fn show(cli: &Cli, client: &Client, id: &MachineId) -> Result<()> {
    let answer = client.get(&format!("{}/{id}/desktop", super::PATH)).await?;
    if cli.output == Format::Json {
        return print_json(&answer);
    }
    let Some(vnc) = view::<Desktop>(&answer)?.vnc else {
        bail!("{id} has no desktop: its template is a headless one");
    };
    let shown: &Value = answer.get("vnc").context("read the answer")?;
    cli.output.one::<VncDesktop>(shown)?;
    if let Some(tunnel) = client.other_host().and_then(|host| tunnel(&vnc, host)) {
        eprintln!(
            "the desktop listens on the server's host alone; this leads there while it runs:\n  {tunnel}"
        );
    }
    Ok(())
}

impl Shown for VncDesktop {
    const COLUMNS: &'static [&'static str] = &["HOSTNAME", "PORT", "PASSWORD"];

    fn cells(&self) -> Vec<String> {
        vec![self.hostname.clone(), self.port.to_string(), self.password.0.clone()]
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let viewer = format!("vncviewer {}::{}", bracketed(&self.hostname), self.port);
        let mut facts: Vec<_> = Self::COLUMNS.iter().copied().zip(self.cells()).collect();
        facts.push(("VIEWER", viewer));
        facts
    }
}

/// What leads to a desktop on a loopback address of the server's host, in the same port here.
fn tunnel(vnc: &VncDesktop, host: &str) -> Option<String> {
    let is_loopback =
        vnc.hostname.parse::<IpAddr>().map_or(vnc.hostname == "localhost", |ip| ip.is_loopback());
    let (hostname, port) = (bracketed(&vnc.hostname), vnc.port);
    is_loopback.then(|| format!("ssh -N -L {hostname}:{port}:{hostname}:{port} {host}"))
}

fn bracketed(hostname: &str) -> String {
    if hostname.contains(':') { format!("[{hostname}]") } else { hostname.to_owned() }
}

#[cfg(test)]
mod tests {
    use deckle_api::desktops::DesktopPassword;

    use super::*;

    #[test]
    fn a_desktop_on_another_hosts_loopback_has_a_tunnel() {
        let at = |hostname: &str| {
            let password = DesktopPassword("Ab12Cd34".to_owned());
            tunnel(&VncDesktop { hostname: hostname.to_owned(), port: 5903, password }, "gpu.example.org")
        };
        let line = "ssh -N -L 127.0.0.1:5903:127.0.0.1:5903 gpu.example.org";
        assert_eq!(at("127.0.0.1").as_deref(), Some(line));
        assert_eq!(at("::1").as_deref(), Some("ssh -N -L [::1]:5903:[::1]:5903 gpu.example.org"));
        assert!(at("localhost").is_some());
        assert_eq!(at("10.0.0.5"), None);
        assert_eq!(at("desk.example.org"), None);
    }
}
