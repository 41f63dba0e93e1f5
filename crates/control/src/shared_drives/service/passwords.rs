//! The passwords of shared drives: random, sealed at rest.

use deckle_api::ids::SharedDriveId;

use super::super::store::Model;
use crate::app::App;
use crate::error::{Error, Result};
use crate::passwords;

/// How many characters a password has: 190 random bits.
const CHARS: usize = 32;

/// A new password for a drive, sealed.
pub fn sealed(app: &App, id: &SharedDriveId) -> Vec<u8> {
    app.sealer.seal(&sealed_for(id), passwords::new(app.clock.as_ref(), CHARS).as_bytes())
}

/// A drive's password in clear.
pub fn opened(app: &App, row: &Model) -> Result<String> {
    let id = &row.id.0;
    let broken = |error| Error::ours(format!("open the password of {id}"), error);
    let password = app.sealer.open(&sealed_for(id), &row.password).map_err(broken)?;
    String::from_utf8(password).map_err(|error| Error::ours(format!("read the password of {id}"), error))
}

fn sealed_for(id: &SharedDriveId) -> String {
    format!("the password of {id}")
}
