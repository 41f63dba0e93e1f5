//! Desktops of machines: their passwords, and where they are reached.
//!
//! A password is for one power-on. It is made and written down before its machine is started, and the same one is
//! taken again where that start has to be repeated; it is told only once the machine was seen with its desktop.
//!
//! **Invariants**: a password that was told is for a running machine, and forgotten once that is seen off; one
//! that another boot is seen to run with is forgotten at once.

use std::net::{IpAddr, SocketAddr};

use deckle_api::desktops::{DesktopPassword, VncDesktop};
use deckle_api::os_templates::AgentType;
use deckle_engine::seen::{MachineSeen, Power};
use deckle_engine::specs::DesktopSpec;
use sea_orm::ActiveValue::Set;

use super::policy::Intent;
use super::store::{ActiveModel, Model};
use crate::app::App;
use crate::passwords;
use crate::seal::Broken;

/// What a client is told to connect to where desktops listen on every address and the host has no name.
const HERE: &str = "localhost";

/// Whether a machine has a desktop while it is on.
pub fn has_one(row: &Model) -> bool {
    row.agent_type == AgentType::LinuxDesktop.word()
}

/// A new password for the boot that is wanted, sealed.
pub fn sealed(app: &App, row: &Model) -> Vec<u8> {
    let password = passwords::new(app.clock.as_ref(), DesktopSpec::PASSWORD_BYTES);
    app.sealer.seal(&sealed_for(row), password.as_bytes())
}

/// What the boot that is wanted is started with: a desktop with the password that is written down for it. None
/// where no such password is, or it does not open.
pub fn spec(app: &App, row: &Model) -> Option<DesktopSpec> {
    let sealed = row.desktop_password.as_ref().filter(|_| is_of_boot_wanted(row))?;
    match opened(app, row, sealed) {
        Ok(password) => Some(DesktopSpec { password }),
        Err(error) => {
            tracing::warn!(machine.id = %row.id.0, %error, "its desktop gets another password");
            None
        }
    }
}

/// How the desktop of a machine that is on is reached. None until it was seen in the boot that is wanted, and
/// where its password is not known.
pub fn shown(app: &App, row: &Model) -> Result<Option<VncDesktop>, Broken> {
    let address = row.desktop_address.as_deref().and_then(|address| address.parse::<SocketAddr>().ok());
    let (Some(address), Some(sealed)) = (address, &row.desktop_password) else { return Ok(None) };
    if !is_of_boot_wanted(row) {
        return Ok(None);
    }
    let password = DesktopPassword(opened(app, row, sealed)?);
    Ok(Some(VncDesktop { hostname: hostname(app, address.ip()), port: address.port(), password }))
}

/// What a look changes of what the row says of its desktop; none if it says so already.
pub fn noted(row: &Model, seen: &MachineSeen) -> Option<ActiveModel> {
    match seen.power {
        Power::Off => {
            let is_left = row.desktop_address.is_some() || row.desktop_password.is_some();
            (is_left && !waits_for_its_start(row)).then(forgotten)
        }
        Power::On { boot, .. } | Power::Stalled { boot } => {
            let desktop_address = seen.desktop.map(|address| address.to_string());
            let is_anothers = row.desktop_password.is_some() && row.desktop_boot() != Some(boot);
            let changes = if is_anothers { forgotten() } else { ActiveModel::default() };
            let is_new = is_anothers || desktop_address != row.desktop_address;
            is_new.then_some(ActiveModel { desktop_address: Set(desktop_address), ..changes })
        }
        Power::Halted { .. } => None,
    }
}

/// A password that nobody was told, of a start that has come to nothing yet: the start may have come further than
/// the look shows, and is repeated with the same.
fn waits_for_its_start(row: &Model) -> bool {
    row.intent.0 == Intent::On && is_of_boot_wanted(row) && row.desktop_address.is_none()
}

fn is_of_boot_wanted(row: &Model) -> bool {
    row.desktop_boot() == Some(row.boots())
}

fn forgotten() -> ActiveModel {
    ActiveModel {
        desktop_password: Set(None),
        desktop_address: Set(None),
        desktop_boot: Set(None),
        ..ActiveModel::default()
    }
}

fn opened(app: &App, row: &Model, sealed: &[u8]) -> Result<String, Broken> {
    let password = app.sealer.open(&sealed_for(row), sealed)?;
    Ok(password.into_iter().map(char::from).collect())
}

fn sealed_for(row: &Model) -> String {
    format!("the desktop of {} in its boot {}", row.id.0, row.boots())
}

/// What clients connect to: what the operator has said, else the address that desktops listen on.
fn hostname(app: &App, address: IpAddr) -> String {
    match &app.config.linux.desktop_hostname {
        Some(hostname) => hostname.clone(),
        None if address.is_unspecified() => HERE.to_owned(),
        None => address.to_string(),
    }
}
