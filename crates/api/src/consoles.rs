//! Serial logs of machines on the wire.

use deckle_api_macros::wire;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

/// A piece of a machine's serial log.
#[wire]
pub struct ConsoleLog {
    /// Where the piece begins, in bytes since the log was begun.
    #[schema(value_type = i64)]
    pub from: u64,
    /// What to ask `from` for the next piece.
    #[schema(value_type = i64)]
    pub next: u64,
    /// The text; bytes that are not UTF-8 are shown as U+FFFD.
    pub text: String,
}

/// Which piece.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
pub struct ConsoleLogQuery {
    /// From which byte on; left out, the last `bytes` of the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// At most how many bytes: 1 to 1048576; 65536 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}
