//! Downloads an image, and lets nothing but the right bytes come out of it.
//!
//! **Invariant**: a file in the folder without `.part` at its end had the checksum in its name when it
//! got it, and is checked again before each use. A part belongs to one checksum, so bytes of two
//! versions are never joined.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use hyper::{HeaderMap, Response, StatusCode};
use tokio::time::timeout;

use super::catalogue::{Image, Proof};
use super::checksum::Checksum;
use crate::output::size;
use crate::progress::Progress;
use crate::web::{self, Stalled};

/// How often a download that broke off is taken up again.
const TRIES_MAX: u32 = 5;
/// How long nothing may come.
const SILENCE_SECONDS_MAX: u64 = 60;
/// The largest list of checksums that is read.
const LIST_BYTES_MAX: usize = 4 << 20;
/// The largest image.
const IMAGE_BYTES_MAX: u64 = 64 << 30;

/// Brings an image into a folder, and answers where it lies.
pub async fn fetch(image: &Image, folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("make the folder {}", folder.display()))?;
    let wanted = wanted(image).await?;
    let whole = folder.join(format!("{}-{}", wanted.short(), image.file_name()));
    let part = folder.join(format!("{}-{}.part", wanted.short(), image.file_name()));
    if whole.exists() && wanted.of_file(&whole)? == wanted.hex() {
        eprintln!("{} is here already", whole.display());
        return Ok(whole);
    }
    let mut file = open(&part)?;
    download(image, &mut file, &part).await?;
    let found = wanted.of_file(&part)?;
    if found != wanted.hex() {
        remove(&part)?;
        let (url, wanted) = (&image.url, wanted.hex());
        bail!(
            "the bytes of {url} are not the right ones, and are thrown away\nwanted: {wanted}\nfound:  {found}"
        );
    }
    file.sync_all().and_then(|()| fs::rename(&part, &whole)).context("keep the download")?;
    Ok(whole)
}

async fn wanted(image: &Image) -> Result<Checksum> {
    match &image.proof {
        Proof::Sha256(digits) | Proof::Sha512(digits) => Checksum::parse(digits),
        Proof::Sums(list) => {
            let text = web::get_trusted(list, LIST_BYTES_MAX).await?;
            Checksum::in_list(&text, image.file_name()).with_context(|| format!("read {list}"))
        }
    }
}

/// Opens the part to write at its end, for one download at a time.
fn open(part: &Path) -> Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(part);
    let file = file.with_context(|| format!("open {}", part.display()))?;
    file.try_lock().map_err(|_| anyhow!("{} is being downloaded by another command", part.display()))?;
    Ok(file)
}

async fn download(image: &Image, file: &mut File, part: &Path) -> Result<()> {
    let mut progress = Progress::begin();
    let mut tried = 0;
    loop {
        tried += 1;
        let before = length(file)?;
        let Err(error) = take_up(image, file, &mut progress).await else { return Ok(()) };
        // One that moves on is worth going on with.
        if length(file)? > before {
            tried = 1;
        }
        if !error.is::<Stalled>() || tried == TRIES_MAX {
            let kept = part.display();
            return Err(error.context(format!("download {} (what came is kept in {kept})", image.url)));
        }
        tokio::time::sleep(Duration::from_secs(u64::from(tried))).await;
    }
}

/// Goes on where the file ends, or begins anew where the server cannot.
async fn take_up(image: &Image, file: &mut File, progress: &mut Progress) -> Result<()> {
    let here = length(file)?;
    let mut headers = HeaderMap::new();
    if here > 0 {
        headers.insert(RANGE, format!("bytes={here}-").parse().expect("digits are header characters"));
    }
    let response = web::get(&image.url, &headers, false).await?;
    let total = match response.status() {
        StatusCode::PARTIAL_CONTENT if starts_at(&response, here) => here + announced(&response),
        StatusCode::OK => {
            file.set_len(0).context("begin the download anew")?;
            announced(&response)
        }
        // Nothing is left to fetch, or too much was: the checksum says which.
        StatusCode::RANGE_NOT_SATISFIABLE if here > 0 => return Ok(()),
        status => bail!("the server answered {status}"),
    };
    pour(response.into_body(), file, &image.name, total, progress).await
}

async fn pour(
    mut body: Incoming,
    file: &mut File,
    name: &str,
    total: u64,
    progress: &mut Progress,
) -> Result<()> {
    let mut here = length(file)?;
    loop {
        let frame = timeout(Duration::from_secs(SILENCE_SECONDS_MAX), body.frame()).await;
        let Some(frame) = frame.map_err(|_| Stalled("nothing came for a minute".to_owned()))? else { break };
        let frame = frame.map_err(|error| Stalled(error.to_string()))?;
        if let Some(bytes) = frame.data_ref() {
            file.write_all(bytes).context("write the download")?;
            here += bytes.len() as u64;
        }
        if here > IMAGE_BYTES_MAX {
            bail!("the image has more than {}", size(IMAGE_BYTES_MAX));
        }
        say(progress, name, here, total);
    }
    if here < total {
        return Err(Stalled(format!("{here} of {total} bytes came")).into());
    }
    Ok(())
}

/// A log has a line for each quarter; a terminal sees every step.
fn say(progress: &mut Progress, name: &str, here: u64, total: u64) {
    let percent = here.saturating_mul(100).checked_div(total).unwrap_or(0).min(100);
    let quarter = percent / 25 * 25;
    progress.say(&format!("downloading {name}: {quarter} %"), &format!("{} of {}", size(here), size(total)));
}

fn length(file: &File) -> Result<u64> {
    Ok(file.metadata().context("look at the download")?.len())
}

fn announced(response: &Response<Incoming>) -> u64 {
    let length = response.headers().get(CONTENT_LENGTH);
    length.and_then(|length| length.to_str().ok()?.parse().ok()).unwrap_or(0)
}

fn starts_at(response: &Response<Incoming>, here: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {here}-")))
}

fn remove(part: &Path) -> Result<()> {
    match fs::remove_file(part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", part.display()))
        }
        _ => Ok(()),
    }
}
