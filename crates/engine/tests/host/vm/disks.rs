//! Templates taken in and refused; disks made, grown and kept.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deckle_api::ids::{MachineId, TemplateId};
use deckle_engine::linux::Settings;
use deckle_engine::linux::disk::Disks;
use deckle_engine::linux::disk::qemu_img::{self, Bounds};
use deckle_engine::linux::process::Process;
use deckle_engine::specs::{DiskSpec, TemplateSpec};

use crate::vm::place::{GIB, MIB, Place, guest_disk, must};
use crate::vm::power::SmallDisk;

/// A small qcow2 image.
fn image(file: &Path, options: &[&str]) {
    let file = file.display().to_string();
    must("qemu-img", &[&["create", "-q", "-f", "qcow2"], options, &[&file, "64M"]].concat());
}

#[tokio::test]
async fn a_disk_is_made_on_its_template_grows_and_never_shrinks() {
    let (place, folder) = (Place::new(), tempfile::tempdir().unwrap());
    let template = place.take_in(&guest_disk(folder.path(), false)).await.unwrap();
    assert_eq!(template.size_bytes, 64 * MIB);
    assert_eq!(place.disks.look_disk(&place.machine).await.unwrap(), None);

    for (wish, size) in [(MIB, 64 * MIB), (GIB, GIB), (2 * GIB, 2 * GIB), (GIB, 2 * GIB)] {
        for _ in 0..2 {
            place.disks.ensure_disk(&place.disk_spec(wish)).await.unwrap();
            let seen = place.disks.look_disk(&place.machine).await.unwrap().unwrap();
            assert_eq!(seen.size_bytes, size, "wished for {wish}");
            assert!(seen.used_bytes < MIB, "{seen:?}");
        }
    }
    let disk = place.paths.machine(&place.machine).join("disk.qcow2");
    assert_eq!(fs::metadata(&disk).unwrap().uid(), 3_000_001);
    must("qemu-img", &["check", "-q", &disk.display().to_string()]);
}

#[tokio::test]
async fn a_disk_outlives_its_template_and_the_space_goes_with_the_last() {
    let (place, folder) = (Place::new(), tempfile::tempdir().unwrap());
    place.take_in(&guest_disk(folder.path(), false)).await.unwrap();
    place.disks.ensure_disk(&place.disk_spec(GIB)).await.unwrap();
    for _ in 0..2 {
        place.disks.remove_template(&place.template).await.unwrap();
    }
    assert_eq!(place.disks.look_template(&place.template).await.unwrap(), None);
    let machine = place.paths.machine(&place.machine);
    assert_eq!(fs::metadata(machine.join("template.qcow2")).unwrap().nlink(), 1);
    place.power_on(1).await;
    place.hear("boot 1").await;

    let on = place.disks.remove_disk(&place.machine).await.unwrap_err();
    assert!(on.told().contains("its power is on"), "{}", on.told());
    place.vms.cut_power(&place.machine).await.unwrap();
    for _ in 0..2 {
        place.disks.remove_disk(&place.machine).await.unwrap();
    }
    assert!(!machine.exists());
    let gone = place.disks.ensure_disk(&place.disk_spec(GIB)).await.unwrap_err();
    assert!(gone.is_final() && gone.told().contains("import it again"), "{}", gone.told());
}

#[tokio::test]
async fn a_disk_whose_template_lies_on_another_file_system_has_a_copy() {
    let (place, folder, other) = (Place::new(), tempfile::tempdir().unwrap(), SmallDisk::new(50));
    std::os::unix::fs::symlink(&other.mounted, place.paths.templates()).unwrap();
    place.take_in(&guest_disk(folder.path(), false)).await.unwrap();
    place.disks.ensure_disk(&place.disk_spec(GIB)).await.unwrap();
    let facts = fs::metadata(place.paths.machine(&place.machine).join("template.qcow2")).unwrap();
    assert_eq!((facts.nlink(), facts.uid(), facts.mode() & 0o777), (1, 0, 0o644));
    place.power_on(1).await;
    place.hear("boot 1").await;
}

#[tokio::test]
async fn what_a_crash_left_half_done_is_done_anew() {
    let (place, folder) = (Place::new(), tempfile::tempdir().unwrap());
    let leftover = place.paths.templates().join(format!("import-{}", place.template));
    fs::create_dir_all(&leftover).unwrap();
    fs::write(leftover.join("flat.qcow2"), "half").unwrap();
    place.take_in(&guest_disk(folder.path(), false)).await.unwrap();
    assert_eq!(fs::read_dir(place.paths.templates()).unwrap().count(), 1);

    let machine = place.paths.machine(&place.machine);
    fs::create_dir_all(&machine).unwrap();
    fs::write(machine.join("template.qcow2"), "of another").unwrap();
    fs::write(machine.join("disk.new"), "half").unwrap();
    place.disks.ensure_disk(&place.disk_spec(GIB)).await.unwrap();
    assert_eq!(fs::metadata(machine.join("template.qcow2")).unwrap().nlink(), 2);
    assert!(!machine.join("disk.new").exists());
}

#[tokio::test]
async fn an_image_that_cannot_serve_is_refused_with_its_reason() {
    let (place, folder) = (Place::new(), tempfile::tempdir().unwrap());
    let at = |name: &str| folder.path().join(name);
    image(&at("base"), &[]);
    let base = at("base").display().to_string();
    image(&at("overlay"), &["-F", "qcow2", "-b", &base]);
    let data = format!("data_file={}", at("data.raw").display());
    image(&at("outside"), &["-o", &data]);
    fs::remove_file(at("data.raw")).unwrap();
    let secret = ["--object", "secret,id=s,data=x", "-o", "encrypt.format=luks,encrypt.key-secret=s"];
    image(&at("locked"), &[&secret[..], &["-o", "encrypt.iter-time=10"]].concat());
    must("qemu-img", &["create", "-q", "-f", "qcow2", &at("large").display().to_string(), "11G"]);
    must("qemu-img", &["create", "-q", "-f", "vmdk", &at("foreign").display().to_string(), "64M"]);
    fs::write(at("letter"), "Dear qemu-img, I am a disk.".repeat(100)).unwrap();
    let raw = guest_disk(folder.path(), false).display().to_string();
    must("qemu-img", &["convert", "-f", "raw", "-O", "qcow2", &raw, &at("torn").display().to_string()]);
    let whole = fs::metadata(at("torn")).unwrap().len();
    fs::File::options().write(true).open(at("torn")).unwrap().set_len(whole / 2).unwrap();
    must("mkfifo", &[&at("pipe").display().to_string()]);

    for (name, reason) in [
        ("nothing", "there is no file"),
        ("pipe", "not a regular file"),
        (".", "not a regular file"),
        ("overlay", "flatten it with `qemu-img convert"),
        ("outside", "its bytes lie in another file"),
        ("locked", "it is encrypted"),
        ("large", "has 11811160064 bytes, and at most 10737418240 are taken"),
        ("foreign", "its format is unknown"),
        ("letter", "its format is unknown"),
        ("torn", "its download broke off"),
    ] {
        let Err(refused) = place.take_in(&at(name)).await else { panic!("{name} was taken") };
        assert!(refused.is_final() && refused.told().contains(reason), "{name}: {}", refused.told());
        assert_eq!(place.disks.look_template(&place.template).await.unwrap(), None, "{name}");
    }
    let left = fs::read_dir(place.paths.templates()).map_or(0, Iterator::count);
    assert_eq!(left, 0, "nothing is left of a refused image");
}

#[tokio::test]
async fn every_taken_format_becomes_one_flat_image_that_root_owns() {
    let folder = tempfile::tempdir().unwrap();
    let raw = guest_disk(folder.path(), false);
    for format in ["qcow2", "vdi", "vpc", "vhdx", "raw"] {
        let place = Place::new();
        let file = folder.path().join(format!("image.{format}"));
        let names = [raw.display().to_string(), file.display().to_string()];
        must("qemu-img", &["convert", "-f", "raw", "-O", format, &names[0], &names[1]]);
        // An operator's file may be closed to everyone else.
        must("chmod", &["0600", &names[1]]);
        let seen = place.take_in(&file).await.unwrap_or_else(|error| panic!("{format}: {}", error.told()));
        assert!(seen.size_bytes >= 64 * MIB, "{format}: {seen:?}");
        let image = place.paths.template(&place.template);
        let facts = fs::metadata(&image).unwrap();
        assert_eq!((facts.uid(), facts.mode() & 0o777), (0, 0o644), "{format}");
        let image = image.display().to_string();
        must("qemu-img", &["compare", "-q", "-f", "qcow2", "-F", "raw", &image, &names[0]]);
    }
}

#[tokio::test]
async fn who_reads_a_strange_image_can_put_nothing_in_a_folder_of_root_s() {
    let (place, folder) = (Place::new(), tempfile::tempdir().unwrap());
    let work = place.paths.templates().join(format!("import-{}", place.template));
    let ended = Arc::new(AtomicBool::new(false));
    let watch = {
        let ended = ended.clone();
        std::thread::spawn(move || {
            let mut seen = BTreeSet::new();
            while !ended.load(Ordering::Relaxed) {
                seen.extend(fs::metadata(&work).map(|facts| (facts.uid(), facts.mode() & 0o022)));
            }
            seen
        })
    };
    place.take_in(&guest_disk(folder.path(), false)).await.unwrap();
    ended.store(true, Ordering::Relaxed);
    assert_eq!(watch.join().unwrap().into_iter().collect::<Vec<_>>(), [(0, 0)]);
}

#[tokio::test]
async fn nothing_that_a_taken_over_qemu_img_starts_outlives_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
    let (program, mark) = (folder.path().join("qemu-img"), format!("{}", std::process::id() + 1_000_000_000));
    fs::write(&program, format!("#!/bin/sh\nsetsid sleep {mark} >/dev/null 2>&1 &\necho said\n")).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let bounds = Bounds { uid: 3_000_000, file_bytes_max: 0, time: Duration::from_secs(20) };
    let run = qemu_img::confined(&bounds).with(|command| {
        command.env("PATH", path);
    });
    assert_eq!(run.output().await.unwrap(), b"said\n");
    assert_eq!(Process::all(Some(3_000_000), &mark).unwrap(), []);
}

#[tokio::test]
async fn below_the_floor_nothing_is_made_or_grown() {
    let (place, folder) = (Place::new(), tempfile::tempdir().unwrap());
    place.take_in(&guest_disk(folder.path(), false)).await.unwrap();
    place.disks.ensure_disk(&place.disk_spec(GIB)).await.unwrap();
    let high = Settings { disk_floor_gib: 1 << 30, ..Settings::default() };
    let disks = Disks::new(place.paths.clone(), &high);
    disks.ensure_disk(&place.disk_spec(GIB)).await.unwrap();
    let another = DiskSpec { machine: MachineId::mint(2), ..place.disk_spec(GIB) };
    for spec in [place.disk_spec(2 * GIB), another] {
        let refused = disks.ensure_disk(&spec).await.unwrap_err();
        assert!(refused.is_final() && refused.told().contains("disk_floor_gib"), "{}", refused.told());
    }
    let image = folder.path().join("guest.raw");
    let spec = TemplateSpec { id: TemplateId::mint(2), file: image, size_bytes_max: GIB };
    let refused = disks.ensure_template(&spec).await.unwrap_err();
    assert!(refused.is_final() && refused.told().contains("make room"), "{}", refused.told());
}

#[tokio::test]
async fn a_template_is_taken_in_once() {
    let (place, folder) = (Place::new(), tempfile::tempdir().unwrap());
    let seen = place.take_in(&guest_disk(folder.path(), false)).await.unwrap();
    let file = folder.path().join("gone by now");
    let again = TemplateSpec { id: place.template.clone(), file, size_bytes_max: 1 };
    assert_eq!(place.disks.ensure_template(&again).await.unwrap(), seen);
}
