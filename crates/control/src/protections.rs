//! Protection against deletion: the same for each noun that has it.
//!
//! A noun's service says whether an object is protected (`protection`) and changes that (`protect`); its
//! handlers are those of [`paths`]; what would delete an object asks [`refuse`] first.

use crate::error::{Error, Result};

/// Refuses to delete an object that is protected. `path` is the object's own: `machines/ps1`.
pub fn refuse(protected: bool, path: &str) -> Result<()> {
    if !protected {
        return Ok(());
    }
    let id = path.rsplit('/').next().unwrap_or(path);
    Err(Error::Protected(format!(
        "{id} is protected against deletion; lift that first: PUT /v1/{path}/protection {{\"isProtected\": false}}"
    )))
}

/// The handlers `protection` and `protect` of a noun, for its `routes`.
macro_rules! paths {
    ($path:literal, $get:literal, $put:literal, $name:literal = $id:ty) => {
        /// Whether it is protected against deletion
        #[utoipa::path(get, path = $path, operation_id = $get, tag = "Beyond the reference",
            params(($name = String, Path)), security(("BearerAuth" = [])),
            responses((status = 200, description = "Successful response", body = Protection), Failure))]
        async fn protection(
            State(app): State<App>,
            caller: Caller,
            Path(id): Path<$id>,
        ) -> Answer<Protection> {
            show(Protection { is_protected: service::protection(&app, &caller, &id).await? })
        }

        /// Protect it against deletion, or no longer
        #[utoipa::path(put, path = $path, operation_id = $put, tag = "Beyond the reference",
            params(($name = String, Path)), request_body = SetProtection, security(("BearerAuth" = [])),
            responses((status = 200, description = "Successful response", body = Protection), Failure))]
        async fn protect(
            State(app): State<App>,
            caller: Caller,
            Path(id): Path<$id>,
            Body(wanted): Body<SetProtection>,
        ) -> Answer<Protection> {
            let is_protected = wanted.is_protected.unwrap_or(false);
            service::protect(&app, &caller, &id, is_protected).await?;
            show(Protection { is_protected })
        }
    };
}

pub(crate) use paths;
