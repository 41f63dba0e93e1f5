//! The Linux engine keeps the contract: an installation for each promise, with real guests under TCG.

use std::fs::{self, Permissions};
use std::net::Ipv4Addr;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use deckle_api::ids::TemplateId;
use deckle_engine::Engine;
use deckle_engine::linux::process::Process;
use deckle_engine::linux::{AccelerationWish, Linux, Settings};
use deckle_engine::specs::TemplateSpec;
use tempfile::TempDir;

use crate::contract::{GIB, Host};
use crate::vm::small_guest::image;

contract_tests!(host);

/// A host, and what is taken back when its promise has been tried.
pub struct Installation {
    host: Host,
    linux: Arc<Linux>,
    folder: TempDir,
}

impl Deref for Installation {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}

/// Only addresses are shared with other installations, and those are chosen under a lock or in turns.
pub async fn host() -> Installation {
    let image = image();
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
    let settings = Settings {
        state: folder.path().to_owned(),
        uplinks: "100.97.255.0/24".parse().unwrap(),
        public_pools: vec!["198.18.255.0/28".parse().unwrap()],
        first_uid: 3_200_000,
        desktop_first_port: 22_000,
        acceleration: AccelerationWish::Tcg,
        disk_floor_gib: 0,
        ..Settings::default()
    };
    let linux = Arc::new(Linux::open(settings).await.unwrap());
    let template: TemplateId = "tcontract".parse().unwrap();
    let host = Host {
        engine: linux.clone(),
        template: template.clone(),
        image: image.clone(),
        public_ips: [1, 2].map(|last| Ipv4Addr::new(198, 18, 255, last)),
        ram_bytes: GIB / 4,
        up_limit: Duration::from_secs(120),
        halt_limit: Duration::from_secs(60),
        look_every: Duration::from_millis(100),
    };
    let installation = Installation { host, linux, folder };
    let spec = TemplateSpec { id: template, file: image, size_bytes_max: GIB };
    installation.linux.ensure_template(&spec).await.unwrap();
    installation
}

impl Drop for Installation {
    /// Guests that a failed promise left get no time to shut down.
    fn drop(&mut self) {
        let mark = self.folder.path().display().to_string();
        for process in Process::all(None, &mark).unwrap() {
            let _ = std::process::Command::new("kill").args(["-9", &process.pid.to_string()]).status();
        }
        let linux = self.linux.clone();
        let clear = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(linux.clear())
        };
        let cleared = std::thread::spawn(clear).join();
        assert!(std::thread::panicking() || matches!(cleared, Ok(Ok(()))), "{cleared:?}");
    }
}
