//! The emulator keeps the contract: in memory, and with its world in files.

#[macro_use]
#[path = "../contract/mod.rs"]
mod contract;

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use contract::{GIB, Host};
use deckle_api::Timestamp;
use deckle_engine::emulator::{Emulator, Pace, Settings};
use tempfile::TempDir;

/// Where the world with files lies, and an image to take in.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a test may write"));

mod in_memory {
    async fn host() -> super::Host {
        super::host(None)
    }

    contract_tests!(host);
}

mod in_files {
    async fn host() -> super::Host {
        // A world each: two engines on one folder would be two hosts with one disk.
        let name = std::thread::current().name().unwrap_or_default().replace("::", "-");
        super::host(Some(super::FOLDER.path().join(name)))
    }

    contract_tests!(host);
}

fn host(state: Option<PathBuf>) -> Host {
    let template = "tcontract".parse().expect("it is an id");
    let settings = Settings { pace: Pace::Quick, state, ..Settings::default() };
    let emulator =
        Emulator::open(settings, Arc::new(Timestamp::of_system_clock)).expect("a folder to write in");
    let emulator = emulator.with_templates([(template, 2 * GIB)]);
    Host {
        engine: Arc::new(emulator),
        template: "tcontract".parse().expect("it is an id"),
        image: image(),
        public_ips: [[203, 0, 113, 7].into(), [203, 0, 113, 8].into()],
        ram_bytes: GIB / 4,
        up_limit: Duration::from_secs(10),
        halt_limit: Duration::from_secs(10),
        look_every: Duration::from_millis(5),
    }
}

fn image() -> PathBuf {
    static IMAGE: LazyLock<PathBuf> = LazyLock::new(|| {
        let file = FOLDER.path().join("image.raw");
        std::fs::write(&file, "an image").expect("a test may write");
        file
    });
    IMAGE.clone()
}
