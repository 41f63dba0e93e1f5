//! cloud-init's part of the seed, as tried with the Debian template: a configuration, and what ends a boot.
//!
//! The startup script is not in it: cloud-init keeps what it was given, and would run an old script for
//! ever. What ends a boot takes the script from the seed's plain files.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{hostname, keys};
use crate::specs::{LOGIN, SeedSpec};

/// Stands in no base64 text, and so in no part.
const BOUNDARY: &str = "==deckle==";

/// What the guest does before its SSH server starts, called with the keys.
const FORGET_KEYS: &str = include_str!("../../../../../images/debian-12/seed/forget-keys.sh");
/// What the guest does at the end of each boot.
const STARTUP: &str = include_str!("../../../../../images/debian-12/seed/startup.sh");

/// The whole text: MIME parts, each in base64.
pub fn text(seed: &SeedSpec) -> String {
    let mut text = format!("Content-Type: multipart/mixed; boundary=\"{BOUNDARY}\"\nMIME-Version: 1.0\n\n");
    text.push_str(&part("cloud-config", "deckle.cfg", &cloud_config(seed)));
    text.push_str(&part("x-shellscript-per-boot", "deckle-startup", STARTUP));
    text + &format!("--{BOUNDARY}--\n")
}

fn part(kind: &str, name: &str, content: &str) -> String {
    let encoded = base64_lines(content);
    format!(
        "--{BOUNDARY}\nContent-Type: text/{kind}; charset=\"utf-8\"\nMIME-Version: 1.0\n\
         Content-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=\"{name}\"\n\n{encoded}\n"
    )
}

/// JSON is YAML.
fn cloud_config(seed: &SeedSpec) -> String {
    let keys = keys(seed);
    let user = json!({
        "name": LOGIN,
        "gecos": LOGIN,
        "shell": "/bin/bash",
        "sudo": "ALL=(ALL) NOPASSWD:ALL",
        "lock_passwd": true,
        "ssh_authorized_keys": keys,
    });
    let forget: Vec<&str> =
        ["sh", "-c", FORGET_KEYS, "deckle"].into_iter().chain(keys.iter().map(String::as_str)).collect();
    let config = json!({
        "hostname": hostname(seed),
        "preserve_hostname": false,
        "manage_etc_hosts": true,
        "ssh_deletekeys": false,
        "users": [user],
        "bootcmd": [forget],
    });
    format!("#cloud-config\n{config:#}\n")
}

fn base64_lines(text: &str) -> String {
    const WIDTH: usize = 76;
    let encoded = STANDARD.encode(text);
    let lines = encoded.as_bytes().chunks(WIDTH).map(String::from_utf8_lossy);
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use deckle_api::ids::StartupScriptId;

    use super::*;
    use crate::linux::command::run;
    use crate::script_run;
    use crate::specs::StartupScriptSpec;

    fn seed(keys: &[&str]) -> SeedSpec {
        let script = format!("#!/bin/sh\n{}\nEND\n--==deckle==--\n", "echo long line ".repeat(20));
        let script = StartupScriptSpec { id: "sc1".parse().unwrap(), script, once: false };
        let authorized_keys = keys.iter().map(|key| (*key).to_owned()).collect();
        SeedSpec { hostname: "box".into(), authorized_keys, startup_script: Some(script) }
    }

    fn parts(text: &str) -> Vec<String> {
        let cut = text.split("--==deckle==").skip(1).filter(|part| !part.starts_with("--"));
        let bodies = cut.map(|part| part.split_once("\n\n").unwrap().1.replace('\n', ""));
        bodies.map(|body| String::from_utf8(STANDARD.decode(body).unwrap()).unwrap()).collect()
    }

    fn config(seed: &SeedSpec) -> serde_json::Value {
        let parts = parts(&text(seed));
        serde_json::from_str(parts[0].strip_prefix("#cloud-config\n").unwrap()).unwrap()
    }

    #[test]
    fn what_users_wrote_stays_in_its_frame() {
        let seed = seed(&["ssh-rsa AAAA \"}]\u{7f}\nusers: [root]"]);
        let config = config(&seed);
        let key = "ssh-rsa AAAA \"}]??users: [root]";
        assert_eq!(config["users"].as_array().unwrap().len(), 1);
        assert_eq!(config["users"][0]["ssh_authorized_keys"], json!([key]));
        assert_eq!(config["bootcmd"][0], json!(["sh", "-c", FORGET_KEYS, "deckle", key]));
        assert_eq!(parts(&text(&seed))[1..], [STARTUP], "the user's script is in the plain files alone");
    }

    /// Runs one of the two texts in a root folder of the test's own.
    async fn boot(root: &Path, text: &str, args: &[String]) {
        let at = |path: &str| format!("{}{path}", root.display());
        let moved = ["/var/", "/home/", "/root", "/run/"].iter();
        let text = moved.fold(text.to_owned(), |text, path| text.replace(path, &at(path)));
        let text = text.replace("> /dev/console", &format!(">> {}", at("/console")));
        // A folder stands for the mounted seed.
        let text = text.replace("mount -o ro LABEL=cidata", "true").replace("umount", "true");
        for folder in ["/var/log", "/home/paperspace/.ssh", "/root", "/run"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        run("sh").args(["-c", &text, "deckle"]).args(args).output().await.unwrap();
    }

    #[tokio::test]
    async fn scripts_run_at_each_boot_or_once_and_no_longer_than_the_seed_has_them() {
        let root = tempfile::tempdir().unwrap();
        let scripts = root.path().join("run/deckle-seed/deckle/scripts");
        fs::create_dir_all(&scripts).unwrap();
        let read = |name: &str| fs::read_to_string(root.path().join(name)).unwrap();
        let ran = |name: &str| root.path().join(name).display().to_string();
        fs::write(scripts.join("once-sc1"), format!("#!/bin/sh\necho >> {}\nexit 7\n", ran("once"))).unwrap();
        fs::write(scripts.join("each-boot"), format!("echo it ran\necho >> {}\n", ran("each"))).unwrap();
        boot(root.path(), STARTUP, &[]).await;
        let log = "var/log/startup-script-output.log";
        assert_eq!(read(log), "exit status 7\nit ran\nexit status 0\n");
        boot(root.path(), STARTUP, &[]).await;
        assert_eq!(read(log), "it ran\nexit status 0\n", "it is begun anew");
        fs::remove_dir_all(&scripts).unwrap();
        boot(root.path(), STARTUP, &[]).await;
        assert_eq!((read(log), read("once").len(), read("each").len()), (String::new(), 1, 2));
    }

    #[tokio::test]
    async fn a_run_is_told_between_brackets_that_a_script_cannot_print() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("run/deckle-seed/deckle");
        fs::create_dir_all(folder.join("scripts")).unwrap();
        let (script, console): (StartupScriptId, _) = ("sc1".parse().unwrap(), root.path().join("console"));
        for (number, text, exit_status, output) in [
            (7, "echo one\nprintf 'two words  \\n\\\\t\\nend'\nexit 3\n", 3, "one\ntwo words  \n\\t\nend\n"),
            (
                8,
                "echo deckle: startup script sc1 of boot 8 ended with status 0\nexit 9\n",
                9,
                "deckle: startup script sc1 of boot 8 ended with status 0\n",
            ),
            (9, "#!/bin/sh\n(trap '' HUP; sleep 0.3; echo late) &\nexit 0\n", 0, ""),
            (10, "#!/no/such/shell\n", 127, "(not compared)"),
        ] {
            fs::write(folder.join("run"), script_run::name(&script, number) + "\n").unwrap();
            fs::write(folder.join("scripts/each-boot"), text).unwrap();
            boot(root.path(), STARTUP, &[]).await;
            // What tells may come a moment after what it tells of.
            let ended = async {
                loop {
                    let seen = script_run::last(&fs::read(&console).unwrap()).unwrap();
                    if seen.boot == number && seen.exit_status.is_some() {
                        return seen;
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                }
            };
            let seen = tokio::time::timeout(std::time::Duration::from_secs(20), ended).await.unwrap();
            assert_eq!((seen.script, seen.exit_status), (script.clone(), Some(exit_status)));
            if exit_status != 127 {
                assert_eq!(seen.output, output, "{text}");
            }
        }
    }

    #[tokio::test]
    async fn a_key_that_is_taken_back_goes_and_a_user_s_own_stays() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("home/paperspace/.ssh/authorized_keys");
        let forget = async |keys: &[&str]| boot(root.path(), FORGET_KEYS, &super::keys(&seed(keys))).await;
        forget(&["ssh-rsa A a", "ssh-rsa B b"]).await;
        fs::write(&file, "ssh-rsa A a\nssh-rsa B b\nssh-rsa MINE me\n").unwrap();
        forget(&["ssh-rsa B b"]).await;
        assert_eq!(fs::read_to_string(&file).unwrap(), "ssh-rsa B b\nssh-rsa MINE me\n");
        forget(&[]).await;
        assert_eq!(fs::read_to_string(&file).unwrap(), "ssh-rsa MINE me\n");
    }
}
