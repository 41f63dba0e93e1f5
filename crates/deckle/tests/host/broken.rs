//! A host that lacks something: room, or a program.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use serde_json::json;
use tempfile::TempDir;

use super::host::{run, try_run};
use super::world::{ORDER, Wishes, World, text};

/// Where the programs of a host are.
const PROGRAMS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// A small file system of its own.
struct SmallDisk {
    mounted: PathBuf,
    _folder: TempDir,
}

impl SmallDisk {
    fn new(mib: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        run("chmod", &["0711", &folder.path().display().to_string()]);
        fs::create_dir(at("mounted")).unwrap();
        fs::File::create(at("image")).unwrap().set_len(mib << 20).unwrap();
        run("mke2fs", &["-q", "-t", "ext4", "-m", "0", "-O", "^has_journal", &at("image")]);
        run("mount", &["-o", "loop", &at("image"), &at("mounted")]);
        Self { mounted: folder.path().join("mounted"), _folder: folder }
    }

    /// Takes all room but so much.
    fn fill(&self, left_mib: u64) -> PathBuf {
        let said = run("df", &["--output=avail", "-m", &self.mounted.display().to_string()]);
        let free: u64 = said.lines().nth(1).unwrap().trim().parse().unwrap();
        let ballast = self.mounted.join("ballast");
        // The last of a file system is metadata: it is taken byte by byte.
        let size = format!("{}M", free - left_mib.max(8));
        run("fallocate", &["-l", &size, &ballast.display().to_string()]);
        if left_mib == 0 {
            let mut rest = fs::File::options().append(true).open(&ballast).unwrap();
            while rest.write_all(&[0; 1024]).and_then(|()| rest.sync_data()).is_ok() {}
        }
        ballast
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        try_run("umount", &["--lazy", &self.mounted.display().to_string()]);
    }
}

/// A create that fails tells why, leaves nothing, and can be deleted.
fn create_fails(world: &World, why: &[&str]) {
    let ordered = world.create("unlucky", json!({"startOnCreate": true}));
    let event = world.ended(&ordered, ORDER);
    assert_eq!(event["state"], "error", "{event}");
    let told = text(&event["error"]);
    assert!(why.iter().all(|why| told.contains(why)), "{told}");
    super::host::wait("the failed machine is off", ORDER, || {
        (world.machine(&ordered.machine)["state"] == "off").then_some(())
    });
    let of_it = |left: &String| left.contains(&ordered.machine);
    super::host::wait("nothing is left of the failed machine", ORDER, || {
        (!world.installation().leftovers().iter().any(of_it)).then_some(())
    });
    world.done(&world.remove(&ordered.machine));
    world.assert_no_leak();
}

#[test]
fn below_the_floor_a_create_ends_in_an_error_and_the_server_goes_on() {
    let disk = SmallDisk::new(3000);
    let state = Some(disk.mounted.join("state"));
    let world = World::with(Wishes { state, linux: "disk_floor_gib = 1\n", ..Wishes::default() });
    let ballast = disk.fill(900);
    create_fails(&world, &["disk_floor_gib", "make room"]);
    assert!(world.machines().is_empty());
    fs::remove_file(ballast).unwrap();
    world.done(&world.create("lucky", json!({"startOnCreate": false})));
    world.end();
}

#[test]
fn without_room_a_create_ends_in_an_error_and_leaves_nothing() {
    let disk = SmallDisk::new(300);
    let state = Some(disk.mounted.join("state"));
    let linux = "disk_floor_gib = 0\n";
    let world = World::with(Wishes { state, linux, database_aside: true, ..Wishes::default() });
    let ballast = disk.fill(0);
    create_fails(&world, &["No space left on device"]);
    fs::remove_file(ballast).unwrap();
    world.done(&world.create("lucky", json!({"startOnCreate": false})));
    world.end();
}

#[test]
fn without_qemu_a_create_says_so_and_so_does_the_doctor() {
    let programs = tempfile::tempdir().unwrap();
    for program in PROGRAMS.iter().flat_map(|folder| fs::read_dir(folder).unwrap().flatten()) {
        let name = program.file_name();
        if !name.to_string_lossy().starts_with("qemu-system") {
            let _ = std::os::unix::fs::symlink(program.path(), programs.path().join(name));
        }
    }
    let path = Some(programs.path().display().to_string());
    let world = World::with(Wishes { path, ..Wishes::default() });
    create_fails(&world, &["qemu-system-x86_64"]);
    let doctor = world.doctor();
    let (_, told) = doctor.split_once("[BAD ] qemu: ").unwrap_or_else(|| panic!("{doctor}"));
    let cure = told.lines().nth(1).unwrap_or_default();
    assert!(cure.contains("cure: apt-get install qemu-system-x86"), "{doctor}");
    world.end();
}
