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
    // Also without a script: cloud-init keeps such a part on the disk, and would run an old one for ever.
    text.push_str(&part("x-shellscript-per-boot", "deckle-startup", &startup(seed)));
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

/// What root runs at the end of each boot.
fn startup(seed: &SeedSpec) -> String {
    let mut text =
        "#!/bin/sh\n# Written by Deckle at each boot.\numask 077\nmkdir -p /var/lib/deckle\n".to_owned();
    text.push_str(&take_keys(seed));
    if let Some(script) = &seed.startup_script {
        text.push_str(&run_script(script));
    }
    text
}

/// Takes away the keys of the last seed that are not in this one: cloud-init only ever adds. Keys that
/// users added themselves stay.
fn take_keys(seed: &SeedSpec) -> String {
    let encoded = base64_lines(&keys(seed).iter().map(|key| format!("{key}\n")).collect::<String>());
    format!(
        "keys=/home/{LOGIN}/.ssh/authorized_keys\nlast=/var/lib/deckle/authorized-keys\n\
         base64 -d > \"$last.new\" <<'END'\n{encoded}\nEND\n\
         if [ -s \"$last\" ] && [ -f \"$keys\" ]; then\n\
         \x20   {{ grep -vxFf \"$last\" \"$keys\"; cat \"$last.new\"; }} > \"$last.all\"\n\
         \x20   cat \"$last.all\" > \"$keys\"\n\
         fi\nmv \"$last.new\" \"$last\"\n"
    )
}

/// Runs the user's script, with its words in a log and on the console.
///
/// A script that is to run once is marked before it runs: a power cut in its middle does not run it twice.
fn run_script(script: &StartupScriptSpec) -> String {
    let once = match script.once {
        true => format!(
            "marker=/var/lib/deckle/once-{}\n[ ! -e \"$marker\" ] || exit 0\n: > \"$marker\"\n",
            script.id
        ),
        false => String::new(),
    };
    let encoded = base64_lines(&script.script);
    format!(
        "{once}script=/var/lib/deckle/startup-script\nlog=/var/log/startup-script-output.log\n\
         base64 -d > \"$script\" <<'END'\n{encoded}\nEND\n\
         chmod 700 \"$script\"\n: > \"$log\"\numask 022\ncd /root\n\
         \"$script\" 2>&1 | tee -a \"$log\" > /dev/console\n"
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

    /// What root runs, in a root folder of the test's own.
    async fn boot(root: &std::path::Path, seed: &SeedSpec) {
        let at = |path: &str| format!("{}{path}", root.display());
        let text = ["/var/", "/home/"].iter().fold(startup(seed), |text, path| text.replace(path, &at(path)));
        let text = text.replace("/dev/console", "/dev/null");
        for folder in ["/var/log", "/home/paperspace/.ssh"] {
            std::fs::create_dir_all(at(folder)).unwrap();
        }
        crate::linux::command::run("sh").args(["-c", &text]).output().await.unwrap();
    }

    #[tokio::test]
    async fn a_script_runs_at_each_boot_or_only_once() {
        for (once, runs) in [(false, 2), (true, 1)] {
            let root = tempfile::tempdir().unwrap();
            let ran = root.path().join("ran");
            let script = format!("#!/bin/sh\necho it ran\necho >> {}\n", ran.display());
            let script = StartupScriptSpec { script, ..seed(once).startup_script.unwrap() };
            let seed = SeedSpec { startup_script: Some(script), ..seed(once) };
            for _ in 0..2 {
                boot(root.path(), &seed).await;
            }
            let log = std::fs::read_to_string(root.path().join("var/log/startup-script-output.log")).unwrap();
            assert_eq!(log, "it ran\n", "it is begun anew");
            assert_eq!(std::fs::read_to_string(ran).unwrap().len(), runs);
        }
    }

    #[tokio::test]
    async fn a_key_that_is_taken_back_goes_and_a_user_s_own_stays() {
        let root = tempfile::tempdir().unwrap();
        let with = |keys: &[&str]| SeedSpec {
            authorized_keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            startup_script: None,
            ..seed(false)
        };
        boot(root.path(), &with(&["ssh-rsa A a", "ssh-rsa B b"])).await;
        let file = root.path().join("home/paperspace/.ssh/authorized_keys");
        std::fs::write(&file, "ssh-rsa A a\nssh-rsa B b\nssh-rsa MINE me\n").unwrap();
        boot(root.path(), &with(&["ssh-rsa B b"])).await;
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "ssh-rsa MINE me\nssh-rsa B b\n");
        boot(root.path(), &with(&[])).await;
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "ssh-rsa MINE me\n");
    }

    #[test]
    fn without_a_script_the_part_of_an_earlier_one_is_written_over() {
        let text = text(&SeedSpec { startup_script: None, ..seed(false) });
        assert!(text.contains("filename=\"deckle-startup\""), "{text}");
        assert!(!parts(&text)[1].contains("startup-script"));
    }
}
