//! Which server a command talks to, and with which key.
//!
//! **Invariant**: a key is sent only where it was meant for. `PAPERSPACE_API_KEY` goes with
//! `PAPERSPACE_API_URL` alone, and `owner.key` to this host alone.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use hyper::Uri;

use crate::state_folder::{self, given};

/// Where `deckle serve` listens when nobody says otherwise.
const LOCAL: &str = "http://127.0.0.1:8484";

/// The flags that say which server.
#[derive(Debug, Clone, Default, Args)]
pub struct TargetFlags {
    /// The root of the server, such as http://127.0.0.1:8484 [env: DECKLE_URL, or PAPERSPACE_API_URL with /v1]
    #[arg(long, global = true, value_name = "URL", help_heading = "Server")]
    url: Option<String>,
    /// The API key [env: DECKLE_API_KEY, or PAPERSPACE_API_KEY; on the server's host: STATE/owner.key]
    #[arg(long, global = true, value_name = "KEY", help_heading = "Server", hide_env_values = true)]
    api_key: Option<String>,
}

/// A server, and what opens it.
#[derive(Debug, Clone)]
pub enum Target {
    /// The API, over HTTP or HTTPS.
    Api {
        /// The root of the server, without a slash at its end.
        root: Uri,
        /// The key to send, where one is known.
        key: Option<String>,
    },
    /// The operator's socket of a server on this host.
    Admin {
        /// The socket.
        socket: PathBuf,
    },
}

impl Target {
    /// The API that the flags, the environment or this host's own server name.
    pub fn of_api(flags: &TargetFlags) -> Result<Self> {
        let paperspace = given("PAPERSPACE_API_URL");
        let (root, key) = match (flags.url.clone().or_else(|| given("DECKLE_URL")), paperspace) {
            (Some(url), _) => (root_of(&url)?, None),
            (None, Some(url)) => (root_of(without_version(&url)?)?, given("PAPERSPACE_API_KEY")),
            (None, None) => (root_of(LOCAL)?, None),
        };
        let known = flags.api_key.clone().or_else(|| given("DECKLE_API_KEY")).or(key);
        let key = known.or_else(|| is_here(&root).then(owner_key).flatten());
        if key.as_ref().is_some_and(|key| !key.bytes().all(|byte| byte.is_ascii_graphic())) {
            bail!("the API key has characters that no key has: is it copied whole, on one line?");
        }
        Ok(Self::Api { root, key })
    }

    /// The operator's socket in a state folder.
    pub fn of_admin(state: &Path) -> Self {
        Self::Admin { socket: state.join("admin.sock") }
    }
}

fn without_version(url: &str) -> Result<&str> {
    url.trim_end_matches('/')
        .strip_suffix("/v1")
        .with_context(|| format!("PAPERSPACE_API_URL is to end in /v1, and is {url}"))
}

fn root_of(url: &str) -> Result<Uri> {
    let root: Uri = url
        .trim_end_matches('/')
        .parse()
        .with_context(|| format!("{url:?} is not the address of a server, such as {LOCAL}"))?;
    match root.scheme_str() {
        Some("http" | "https") if root.host().is_some() => Ok(root),
        _ => bail!("{url:?} is not the address of a server: it begins with http:// or https://"),
    }
}

/// Whether a server is on this host, by its name alone.
pub fn is_here(root: &Uri) -> bool {
    root.host().is_some_and(|host| host == "localhost" || host == "[::1]" || host.starts_with("127."))
}

fn owner_key() -> Option<String> {
    let text = fs::read_to_string(state_folder::or_default(None).join("owner.key")).ok()?;
    Some(text.trim().to_owned()).filter(|key| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_an_address_with_a_scheme() {
        assert_eq!(root_of("http://127.0.0.1:8484/").unwrap().host(), Some("127.0.0.1"));
        assert!(root_of("https://gpu.example.org/deckle").is_ok());
        for wrong in ["", "gpu", "gpu.example.org:8484", "ftp://gpu", "/v1"] {
            assert!(root_of(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(without_version("https://gpu/v1/").unwrap(), "https://gpu");
        assert!(without_version("https://gpu").is_err());
    }

    #[test]
    fn only_loopback_is_here() {
        let here = |url: &str| is_here(&url.parse().unwrap());
        assert!(here("http://127.0.0.1:8484") && here("http://localhost:1") && here("http://[::1]:8484"));
        assert!(!here("http://10.0.0.1:8484") && !here("http://localhost.example.org"));
        assert!(!here("http://128.0.0.1"));
    }
}
