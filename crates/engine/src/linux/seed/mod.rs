//! What a guest is told at boot: a small read-only disc with the label `cidata`, made anew for each start.
//!
//! It speaks to two kinds of guests: cloud-init reads `/meta-data` and `/user-data` (NoCloud); a guest that
//! has none reads the plain files under `/deckle`.
//!
//! **Invariants**: the same boot gives the same bytes. What users wrote (names, keys, scripts) stands in it
//! only as JSON strings of plain ASCII, as lines of plain ASCII, or in base64, and cannot end its own frame.

mod cloud_init;
mod disc;

use serde_json::json;

use crate::script_run;
use crate::specs::{BootSpec, SeedSpec, StartupScriptSpec};
use disc::{File, Folder};

/// The disc for one boot.
pub fn image(spec: &BootSpec) -> Result<Vec<u8>, disc::NotMade> {
    let root =
        vec![File::new("meta-data", meta_data(spec)), File::new("user-data", cloud_init::text(&spec.seed))];
    disc::image("cidata", Folder { files: root, folders: vec![("deckle", plain(spec))] })
}

/// JSON is YAML. A new instance at each boot has cloud-init take up what has changed.
fn meta_data(spec: &BootSpec) -> String {
    let instance = format!("{}-{}", spec.machine, spec.boot);
    json!({ "instance-id": instance, "local-hostname": hostname(&spec.seed) }).to_string() + "\n"
}

/// The files for a guest without cloud-init, and the script for every guest.
fn plain(spec: &BootSpec) -> Folder {
    let seed = &spec.seed;
    let keys: String = keys(seed).iter().map(|key| format!("{key}\n")).collect();
    let mut files = vec![File::new("hostname", hostname(seed) + "\n"), File::new("authorized-keys", keys)];
    // What the guest calls the run of the script on its serial console.
    let run = seed.startup_script.iter().map(|script| script_run::name(&script.id, spec.boot) + "\n");
    files.extend(run.map(|name| File::new("run", name)));
    let script = seed.startup_script.iter().map(|script| File::new(script_name(script), &*script.script));
    let scripts = Folder { files: script.collect(), folders: Vec::new() };
    Folder { files, folders: vec![("scripts", scripts)] }
}

fn script_name(script: &StartupScriptSpec) -> String {
    if script.once { format!("once-{}", script.id) } else { "each-boot".to_owned() }
}

/// The host name with nothing in it that a host name cannot have.
fn hostname(seed: &SeedSpec) -> String {
    let right = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    seed.hostname.chars().map(|c| if right(c) { c } else { '-' }).collect()
}

/// The keys, a line each, with nothing in them that could begin another line.
fn keys(seed: &SeedSpec) -> Vec<String> {
    let plain = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    seed.authorized_keys.iter().map(|key| key.trim().chars().map(plain).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::command::run;
    use crate::linux::vm::tests::boot_spec;

    fn spec() -> BootSpec {
        let mut spec = boot_spec(7);
        spec.seed.hostname = "a b\n\"".to_owned();
        spec.seed.authorized_keys = vec!["ssh-ed25519 AAAA me\nssh-rsa BBBB".to_owned()];
        let script = "#!/bin/sh\necho '\n--==deckle==--\n'\n".to_owned();
        let id = "sc1".parse().unwrap();
        spec.seed.startup_script = Some(StartupScriptSpec { id, script, once: true });
        spec
    }

    async fn read_back(image: &std::path::Path, tree: &str, path: &str) -> String {
        let said = run("isoinfo").arg("-i").arg(image).args([tree, "-x", path]).output().await.unwrap();
        String::from_utf8(said).unwrap()
    }

    #[tokio::test]
    async fn the_disc_is_read_by_other_programs_in_both_trees() {
        let folder = tempfile::tempdir().unwrap();
        let disc = folder.path().join("seed.iso");
        std::fs::write(&disc, image(&spec()).unwrap()).unwrap();
        let said = run("blkid").args(["-p", "-o", "export"]).arg(&disc).output().await.unwrap();
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains("\nLABEL=cidata\n") && said.contains("TYPE=iso9660"), "{said}");

        for tree in ["-R", "-J"] {
            let listed = run("isoinfo").arg("-i").arg(&disc).args([tree, "-f"]).output().await.unwrap();
            let mut names: Vec<&str> = str::from_utf8(&listed).unwrap().lines().collect();
            names.sort_unstable();
            let expected = [
                "/deckle",
                "/deckle/authorized-keys",
                "/deckle/hostname",
                "/deckle/run",
                "/deckle/scripts",
                "/deckle/scripts/once-sc1",
                "/meta-data",
                "/user-data",
            ];
            assert_eq!(names, expected, "{tree}");
            let meta = "{\"instance-id\":\"ps10000000-7\",\"local-hostname\":\"a-b--\"}\n";
            assert_eq!(read_back(&disc, tree, "/meta-data").await, meta);
            assert_eq!(read_back(&disc, tree, "/deckle/hostname").await, "a-b--\n");
            let keys = "ssh-ed25519 AAAA me?ssh-rsa BBBB\n";
            assert_eq!(read_back(&disc, tree, "/deckle/authorized-keys").await, keys);
            assert_eq!(read_back(&disc, tree, "/deckle/run").await, "sc1 of boot 7\n");
            let script = spec().seed.startup_script.unwrap().script;
            assert_eq!(read_back(&disc, tree, "/deckle/scripts/once-sc1").await, script);
        }
    }

    #[tokio::test]
    async fn the_same_boot_gives_the_same_bytes() {
        let first = image(&spec()).unwrap();
        // The clock in a disc's dates counts seconds.
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        assert!(first == image(&spec()).unwrap());
        let next = BootSpec { boot: 8, ..spec() };
        assert!(first != image(&next).unwrap());
    }
}
