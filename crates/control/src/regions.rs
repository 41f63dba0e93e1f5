//! The regions of a server.

use deckle_api::regions::Region;

use crate::app::App;
use crate::error::{Error, Result};

/// The code of the region in a request's field `region`, if this server has it.
pub fn checked(app: &App, region: &Region) -> Result<String> {
    let code = region.code();
    if app.regions.contains_key(&code) {
        return Ok(code);
    }
    let known: Vec<_> = app.regions.keys().map(String::as_str).collect();
    Err(Error::field("region", format!("there is no region `{}`; there are {}", region.0, known.join(", "))))
}
