//! cloud-init's part of the seed: a configuration, and the startup script with what runs it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{hostname, keys};
use crate::specs::{LOGIN, SeedSpec, StartupScriptSpec};

/// Stands in no base64 text, and so in no part.
const BOUNDARY: &str = "==deckle==";

/// The whole text: MIME parts, each in base64.
pub fn text(seed: &SeedSpec) -> String {
    let mut text = format!("Content-Type: multipart/mixed; boundary=\"{BOUNDARY}\"\nMIME-Version: 1.0\n\n");
    text.push_str(&part("cloud-config", "deckle.cfg", &cloud_config(seed)));
    if let Some(script) = &seed.startup_script {
        text.push_str(&part("x-shellscript-per-boot", "deckle-startup-script", &runner(script)));
    }
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
    let user = json!({
        "name": LOGIN,
        "shell": "/bin/bash",
        "sudo": "ALL=(ALL) NOPASSWD:ALL",
        "lock_passwd": true,
        "ssh_authorized_keys": keys(seed),
    });
    let config = json!({
        "hostname": hostname(seed),
        "preserve_hostname": false,
        "ssh_deletekeys": false,
        "users": [user],
    });
    format!("#cloud-config\n{config:#}\n")
}

/// Runs the user's script as root, with its words in a log and on the console.
///
/// A script that is to run once is marked before it runs: a power cut in its middle does not run it twice.
fn runner(script: &StartupScriptSpec) -> String {
    let once = match script.once {
        true => format!(
            "marker=/var/lib/deckle/once-{}\n[ ! -e \"$marker\" ] || exit 0\n: > \"$marker\"\n",
            script.id
        ),
        false => String::new(),
    };
    let encoded = base64_lines(&script.script);
    format!(
        "#!/bin/sh\n# Written by Deckle at each boot.\numask 077\nmkdir -p /var/lib/deckle\n{once}\
         script=/var/lib/deckle/startup-script\nbase64 -d > \"$script\" <<'END'\n{encoded}\nEND\n\
         chmod 700 \"$script\"\ncd /root\n\
         \"$script\" 2>&1 | tee -a /var/log/startup-script-output.log > /dev/console\n"
    )
}

fn base64_lines(text: &str) -> String {
    const WIDTH: usize = 76;
    let encoded = STANDARD.encode(text);
    let lines = encoded.as_bytes().chunks(WIDTH).map(String::from_utf8_lossy);
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(once: bool) -> SeedSpec {
        let script = format!("#!/bin/sh\n{}\nEND\n--==deckle==--\n", "echo long line ".repeat(20));
        let script = StartupScriptSpec { id: "sc1".parse().unwrap(), script, once };
        let key = "ssh-rsa AAAA \"}]\u{7f}\nusers: [root]".to_owned();
        SeedSpec { hostname: "box".into(), authorized_keys: vec![key], startup_script: Some(script) }
    }

    fn parts(text: &str) -> Vec<String> {
        let cut = text.split("--==deckle==").skip(1).filter(|part| !part.starts_with("--"));
        let bodies = cut.map(|part| part.split_once("\n\n").unwrap().1.replace('\n', ""));
        bodies.map(|body| String::from_utf8(STANDARD.decode(body).unwrap()).unwrap()).collect()
    }

    #[test]
    fn what_users_wrote_stays_in_its_frame() {
        let parts = parts(&text(&seed(false)));
        assert_eq!(parts.len(), 2);
        let config = parts[0].strip_prefix("#cloud-config\n").unwrap();
        let config: serde_json::Value = serde_json::from_str(config).unwrap();
        assert_eq!(config["users"][0]["ssh_authorized_keys"][0], "ssh-rsa AAAA \"}]??users: [root]");
        assert_eq!(config["users"].as_array().unwrap().len(), 1);
        assert!(!parts[1].contains("echo long line"), "{}", parts[1]);
    }

    #[tokio::test]
    async fn the_runner_runs_the_script_and_one_for_once_only_once() {
        for (once, runs) in [(false, 2), (true, 1)] {
            let root = tempfile::tempdir().unwrap();
            let at = root.path().display().to_string();
            let script = StartupScriptSpec {
                script: "#!/bin/sh\necho it ran\n".into(),
                ..seed(once).startup_script.unwrap()
            };
            let text =
                runner(&script).replace("/var/", &format!("{at}/var/")).replace("/dev/console", "/dev/null");
            std::fs::create_dir_all(root.path().join("var/log")).unwrap();
            for _ in 0..2 {
                crate::linux::command::run("sh").args(["-c", &text]).output().await.unwrap();
            }
            let log = std::fs::read_to_string(root.path().join("var/log/startup-script-output.log")).unwrap();
            assert_eq!(log, "it ran\n".repeat(runs));
        }
    }
}
