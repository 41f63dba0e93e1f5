//! Fetches from the web: other people's servers, their redirects, and no key of ours.

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::LOCATION;
use hyper::{HeaderMap, Request, Response, StatusCode, Uri};

use anyhow::{Context, Result, anyhow, bail};

use crate::connection;
use crate::target::is_here;

/// How many redirects are followed.
const REDIRECTS_MAX: u32 = 5;

/// A transfer that broke off, and may well go on when it is asked for again.
#[derive(Debug, thiserror::Error)]
#[error("the transfer broke off: {0}")]
pub struct Stalled(pub String);

/// Asks for a document, wherever it has moved to. `trusted` keeps to TLS all the way, except on this host.
pub async fn get(url: &str, headers: &HeaderMap, trusted: bool) -> Result<Response<Incoming>> {
    let mut address: Uri = url.parse().with_context(|| format!("read the address {url:?}"))?;
    for _ in 0..=REDIRECTS_MAX {
        check(&address, trusted)?;
        let mut request = Request::get(address.clone()).body(Full::<Bytes>::default())?;
        request.headers_mut().extend(headers.clone());
        let response = connection::send(request).await.map_err(|broken| match broken {
            connection::Broken::Lost { .. } => Stalled(format!("{:#}", anyhow!(broken))).into(),
            connection::Broken::NotConnected { .. } => anyhow!(broken),
        })?;
        if !response.status().is_redirection() || response.status() == StatusCode::NOT_MODIFIED {
            return Ok(response);
        }
        let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
        address = moved(&address, to.context("the server redirects to nowhere")?)?;
    }
    bail!("{url} is redirected more than {REDIRECTS_MAX} times")
}

/// Reads a document that others are checked against.
pub async fn get_trusted(url: &str, bytes_max: usize) -> Result<String> {
    let response = get(url, &HeaderMap::new(), true).await.with_context(|| format!("fetch {url}"))?;
    if response.status() != StatusCode::OK {
        bail!("fetch {url}: the server answered {}", response.status());
    }
    let body = Limited::new(response.into_body(), bytes_max).collect().await;
    let bytes = body.map_err(|error| anyhow!(error)).with_context(|| format!("fetch {url}"))?.to_bytes();
    String::from_utf8(bytes.to_vec()).with_context(|| format!("read {url}"))
}

fn check(address: &Uri, trusted: bool) -> Result<()> {
    match address.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if !trusted || is_here(address) => Ok(()),
        Some("http") => bail!("{address} is not https, and what it says cannot be trusted"),
        _ => bail!("{address} is neither http nor https"),
    }
}

/// A whole address, or a path on the same server.
fn moved(from: &Uri, to: &str) -> Result<Uri> {
    let reading = || format!("read the redirect to {to:?}");
    if !to.starts_with('/') || to.starts_with("//") {
        return to.parse::<Uri>().with_context(reading).and_then(|to| match to.scheme() {
            Some(_) => Ok(to),
            None => bail!("the redirect to {to} is not a whole address"),
        });
    }
    let mut parts = from.clone().into_parts();
    parts.path_and_query = Some(to.parse().with_context(reading)?);
    Uri::from_parts(parts).with_context(reading)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_checksums_never_leaves_tls() {
        let check = |url: &str, trusted| check(&url.parse().unwrap(), trusted).is_ok();
        assert!(check("https://vendor/SUMS", true) && check("http://127.0.0.1:1/SUMS", true));
        assert!(!check("http://vendor/SUMS", true) && check("http://mirror/x.img", false));
        assert!(!check("ftp://vendor/SUMS", false));
    }

    #[test]
    fn a_redirect_is_a_whole_address_or_a_path() {
        let from = "https://vendor/a/b?c".parse().unwrap();
        let to = |to| moved(&from, to).map(|to| to.to_string()).ok();
        assert_eq!(to("/d?e").as_deref(), Some("https://vendor/d?e"));
        assert_eq!(to("http://mirror/d").as_deref(), Some("http://mirror/d"));
        assert_eq!(to("d"), None);
    }
}
