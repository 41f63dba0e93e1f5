//! Who is told how a machine's desktop is reached, and when.

use deckle_api::desktops::Desktop;
use deckle_api::ids::MachineId;
use deckle_api::machines::MachineState;

use super::super::desktops;
use super::super::policy::Intent;
use super::usable;
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::Caller;

/// How a machine's desktop is reached, for who may use it. A machine without one says so in any state.
pub async fn desktop(app: &App, caller: &Caller, id: &MachineId) -> Result<Desktop> {
    let machine = usable(app.store.read(), caller, id, "use the desktop of").await?;
    if !desktops::has_one(&machine) {
        return Ok(Desktop { vnc: None, windows: None });
    }
    let state = machine.shown_state.0;
    if machine.intent.0 != Intent::On {
        let told =
            format!("{id} is {}: its desktop is there while the machine is on; start it", state.word());
        return Err(Error::Precondition(told));
    }
    match desktops::shown(app, &machine) {
        Ok(Some(vnc)) => Ok(Desktop { vnc: Some(vnc), windows: None }),
        Ok(None) if state == MachineState::Ready => {
            let told =
                format!("the password of the desktop of {id} is not known; restart {id} to get a new one");
            Err(Error::Precondition(told))
        }
        Ok(None) => {
            let told = format!("{id} is {}, and its desktop is not there yet; ask again", state.word());
            Err(Error::Precondition(told))
        }
        Err(error) => {
            tracing::error!(machine.id = %id, %error, "a desktop's password cannot be told");
            Err(Error::Precondition(format!("{error}; restart {id} to get a new password")))
        }
    }
}
