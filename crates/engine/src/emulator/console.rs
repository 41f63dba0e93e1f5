//! A machine's serial log, and the words that pretend a boot on it.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::seen::ConsoleChunk;
use crate::specs::{BootSpec, LOGIN};

/// How much of a log is kept, in bytes.
const KEPT_BYTES_MAX: usize = 16 * 1024;

/// The kept end of a log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Console {
    /// How many bytes before the text are gone.
    gone_bytes: u64,
    text: String,
}

impl Console {
    /// Adds a line and forgets what is too old.
    pub fn say(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push_str("\r\n");
        let mut surplus = self.text.len().saturating_sub(KEPT_BYTES_MAX);
        while !self.text.is_char_boundary(surplus) {
            surplus += 1;
        }
        self.text.drain(..surplus);
        self.gone_bytes += surplus as u64;
    }

    /// What a boot prints.
    pub fn boot(&mut self, spec: &BootSpec) {
        let BootSpec { machine, boot, vcpus, ram_bytes, gpus, nic, seed, desktop: _ } = spec;
        self.say(&format!("emulator: boot {boot} of {machine}; no guest runs, these lines are all there is"));
        self.say(&format!("emulator: {vcpus} processors, {} MiB of memory", ram_bytes / (1 << 20)));
        for gpu in gpus {
            self.say(&format!("emulator: the GPU {gpu} would be here"));
        }
        self.say(&format!("emulator: {} would lease {}", nic.mac, nic.ip));
        let mut keys = format!("emulator: {LOGIN} would log in with ");
        // Writing to a text cannot fail.
        let _ = write!(keys, "{} SSH keys", seed.authorized_keys.len());
        self.say(&keys);
        self.say(&format!("{} login:", seed.hostname));
    }

    /// A piece from byte `from` on.
    pub fn read(&self, from: u64, bytes_max: usize) -> ConsoleChunk {
        let end = self.gone_bytes + self.text.len() as u64;
        let from = from.clamp(self.gone_bytes, end);
        let kept = &self.text.as_bytes()[(from - self.gone_bytes) as usize..];
        let bytes = kept[..kept.len().min(bytes_max)].to_vec();
        ConsoleChunk { from, next: from + bytes.len() as u64, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_old_is_gone_and_offsets_stay() {
        let mut console = Console::default();
        for line in 0..2_000 {
            console.say(&format!("line {line:06}"));
        }
        let first = console.read(0, 13);
        assert_eq!(first.from, 2_000 * 13 - (KEPT_BYTES_MAX as u64));
        assert_eq!(first.next, first.from + 13);
        let end = console.read(u64::MAX, 13);
        assert_eq!((end.from, end.next), (2_000 * 13, 2_000 * 13));
        assert!(end.bytes.is_empty());
    }
}
