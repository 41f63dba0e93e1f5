//! What a guest says on its serial console of its startup script.
//!
//! A guest's end of boot, which the images and the seed bring, brackets the run with two lines of its own,
//! and begins every line of output with a word that no bracket begins with: a script cannot print a bracket.
//!
//! ```text
//! deckle: startup script sc1 of boot 7 begins
//! startup-script: installing
//! startup-script: exit status 0
//! deckle: startup script sc1 of boot 7 ended with status 0
//! ```

use std::collections::VecDeque;

use deckle_api::ids::StartupScriptId;

use crate::seen::ScriptRunSeen;

/// What every bracket begins with, and what stands between its script and its boot.
const BRACKET: &str = "deckle: startup script ";
const OF_BOOT: &str = " of boot ";
/// How the two brackets end.
const BEGINS: &str = "begins";
const ENDED: &str = "ended with status ";
/// What every line of output begins with.
const OUTPUT: &str = "startup-script: ";

/// How much of a run's output is kept: the end of it, in bytes.
pub const OUTPUT_BYTES_MAX: usize = 64 << 10;

/// What a guest is to call the run of a script in its brackets.
pub fn name(script: &StartupScriptId, boot: u64) -> String {
    format!("{script}{OF_BOOT}{boot}")
}

/// The last run that a serial log tells of. Where its beginning is no longer in the log, its output is what
/// the log still has.
pub fn last(log: &[u8]) -> Option<ScriptRunSeen> {
    let mut run: Option<ScriptRunSeen> = None;
    let mut output = Output::default();
    for line in log.split(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
        if let Some(printed) = line.strip_prefix(OUTPUT) {
            // What comes after the end is of something that the script left behind.
            if run.as_ref().is_none_or(|run| run.exit_status.is_none()) {
                output.push(printed);
            }
        } else if let Some(told) = bracket(&line) {
            let same = run.as_ref().is_some_and(|run| (&run.script, run.boot) == (&told.script, told.boot));
            match told.exit_status {
                None => output = Output::default(),
                Some(_) if same || run.is_none() => output.drop_status(),
                Some(_) => output = Output::default(),
            }
            run = Some(ScriptRunSeen { output: output.text(), ..told });
        }
    }
    let run = run?;
    let output = if run.exit_status.is_none() { output.text() } else { run.output };
    Some(ScriptRunSeen { output, ..run })
}

/// A bracket. Something else may have begun its line: a prompt waits at the end of one.
fn bracket(line: &str) -> Option<ScriptRunSeen> {
    let (_, told) = line.split_once(BRACKET)?;
    let (script, told) = told.split_once(OF_BOOT)?;
    let (boot, told) = told.split_once(' ')?;
    let exit_status = match told.strip_prefix(ENDED) {
        Some(status) => Some(status.trim_end().parse().ok()?),
        None if told.trim_end() == BEGINS => None,
        None => return None,
    };
    let (script, boot) = (script.parse().ok()?, boot.parse().ok()?);
    Some(ScriptRunSeen { script, boot, exit_status, output: String::new() })
}

/// The end of a run's output, in lines.
#[derive(Default)]
struct Output {
    lines: VecDeque<String>,
    bytes: usize,
}

impl Output {
    fn push(&mut self, line: &str) {
        self.bytes += line.len() + 1;
        self.lines.push_back(line.to_owned());
        while self.bytes > OUTPUT_BYTES_MAX {
            let Some(first) = self.lines.pop_front() else { return };
            self.bytes -= first.len() + 1;
        }
    }

    /// Takes the line away that says the status, which the end says too.
    fn drop_status(&mut self) {
        if let Some(last) = self.lines.pop_back_if(|last| last.starts_with("exit status ")) {
            self.bytes -= last.len() + 1;
        }
    }

    fn text(&self) -> String {
        self.lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(boot: u64, exit_status: Option<u8>, output: &str) -> Option<ScriptRunSeen> {
        Some(ScriptRunSeen { script: "sc1".parse().unwrap(), boot, exit_status, output: output.to_owned() })
    }

    fn log(lines: &[&str]) -> Vec<u8> {
        lines.iter().flat_map(|line| format!("{line}\r\n").into_bytes()).collect()
    }

    const BEGIN: &str = "deckle: startup script sc1 of boot 7 begins";
    const END: &str = "deckle: startup script sc1 of boot 7 ended with status 3";

    #[test]
    fn a_run_is_between_its_brackets() {
        assert_eq!(last(&log(&["deckle: ready", "startup-script: old words"])), None);
        assert_eq!(last(&log(&[BEGIN])), seen(7, None, ""));
        assert_eq!(last(&log(&[BEGIN, "startup-script: a", "[ 1.2] noise"])), seen(7, None, "a\n"));
        let whole = [BEGIN, "startup-script: a", "startup-script: ", "startup-script: exit status 3", END];
        assert_eq!(last(&log(&whole)), seen(7, Some(3), "a\n\n"));
        let late = [&whole[..], &["startup-script: late"]].concat();
        assert_eq!(last(&log(&late)), seen(7, Some(3), "a\n\n"));
        let prompt = [BEGIN, "startup-script: a", &format!("box login: {END}")];
        assert_eq!(last(&log(&prompt)), seen(7, Some(3), "a\n"));
    }

    #[test]
    fn a_run_is_called_what_is_read() {
        let script: StartupScriptId = "sc1".parse().unwrap();
        assert_eq!(
            last(&log(&[&format!("deckle: startup script {} begins", name(&script, 7))])),
            seen(7, None, "")
        );
    }

    #[test]
    fn the_last_run_counts() {
        let next = "deckle: startup script sc1 of boot 8 begins";
        assert_eq!(last(&log(&[BEGIN, "startup-script: a", END, next])), seen(8, None, ""));
        let again = [BEGIN, "startup-script: a", END, BEGIN, "startup-script: b"];
        assert_eq!(last(&log(&again)), seen(7, None, "b\n"), "a guest that restarts runs it again");
        assert_eq!(last(&log(&[next, "startup-script: a", END])), seen(7, Some(3), ""), "of another run");
    }

    #[test]
    fn a_script_cannot_print_a_bracket() {
        let forged = format!("startup-script: {}", END.replace('3', "0"));
        assert_eq!(last(&log(&[BEGIN, &forged, END])).unwrap().exit_status, Some(3));
        assert_eq!(last(&log(&[BEGIN, &forged])).unwrap().exit_status, None);
        for wrong in [
            "deckle: startup script sc1 of boot 7 ended with status 256",
            "deckle: startup script sc1 of boot x begins",
            "deckle: startup script ../x of boot 7 begins",
            "deckle: startup script sc1 of boot 7 began",
        ] {
            assert_eq!(last(&log(&[wrong])), None, "{wrong}");
        }
    }

    #[test]
    fn the_end_of_long_output_is_kept_and_its_beginning_may_be_gone() {
        let printed: Vec<_> = (0..10_000).map(|line| format!("startup-script: line {line:08}")).collect();
        let printed: Vec<_> = printed.iter().map(String::as_str).collect();
        let run = last(&log(&[&[BEGIN], &printed[..], &[END]].concat())).unwrap();
        assert!(run.output.ends_with("line 00009999\n") && run.output.starts_with("line 0000"));
        assert!((OUTPUT_BYTES_MAX - 14..=OUTPUT_BYTES_MAX).contains(&run.output.len()));
        let headless = last(&log(&["cut: line 00000001", "startup-script: a", END]));
        assert_eq!(headless, seen(7, Some(3), "a\n"));
        let bytes =
            [b"deckle: startup script sc1 of boot 7 begins\nstartup-script: \xff".as_slice()].concat();
        assert_eq!(last(&bytes), seen(7, None, "\u{fffd}\n"));
    }
}
