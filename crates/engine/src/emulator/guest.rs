//! A guest's life from power-on to halt, as a function of the time.

use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;

use deckle_api::Timestamp;
use deckle_api::ids::StartupScriptId;
use serde::{Deserialize, Serialize};

use crate::pci::PciAddress;
use crate::seen::{AgentSeen, GuestSeen, Power};

/// How long guests take to come up and to shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pace {
    /// No time: up at the first look after power-on, halted as the button is pressed.
    Instant,
    /// Tens of milliseconds.
    #[default]
    Quick,
    /// Seconds, as a real guest does.
    Real,
}

impl Pace {
    /// From power-on to the lease of the address, in microseconds.
    fn lease_us(self) -> i64 {
        match self {
            Self::Instant => 0,
            Self::Quick => 20_000,
            Self::Real => 8_000_000,
        }
    }

    /// From power-on to the agent's first answer, in microseconds.
    fn agent_us(self) -> i64 {
        match self {
            Self::Instant => 0,
            Self::Quick => 40_000,
            Self::Real => 12_000_000,
        }
    }

    /// From the power button to the halt, in microseconds.
    fn halt_us(self) -> i64 {
        match self {
            Self::Instant => 0,
            Self::Quick => 20_000,
            Self::Real => 5_000_000,
        }
    }
}

impl FromStr for Pace {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "instant" => Ok(Self::Instant),
            "quick" => Ok(Self::Quick),
            "real" => Ok(Self::Real),
            _ => Err("a pace is `instant`, `quick` or `real`"),
        }
    }
}

/// A run of a machine, from power-on until its power is cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Boot {
    /// The number that it was given.
    pub number: u64,
    /// When it began.
    #[serde(with = "microseconds")]
    since: Timestamp,
    /// When its guest halts, once that is known.
    #[serde(with = "microseconds::optional")]
    halts: Option<Timestamp>,
    /// Processors that it takes of the host.
    pub vcpus: u32,
    /// Memory that it takes of the host, in bytes.
    pub ram_bytes: u64,
    /// The script that its seed carries, and whether that is to run once only.
    #[serde(default)]
    pub script: Option<(StartupScriptId, bool)>,
    /// The GPUs that it has.
    #[serde(default)]
    pub gpus: Vec<PciAddress>,
    /// The port of its desktop.
    #[serde(default)]
    pub desktop: Option<u16>,
}

/// What a test has made of a guest.
#[derive(Debug, Clone)]
pub(super) struct Nature {
    /// It ignores the power button.
    pub deaf: bool,
    /// Its agent never opens its port.
    pub silent: bool,
    /// Its disk cannot be written.
    pub stalled: bool,
    /// What its agent calls the operating system.
    pub os: Option<String>,
    /// What its startup script prints.
    pub script_output: String,
    /// What its startup script ends with; absent while it is to run on.
    pub script_status: Option<u8>,
}

impl Default for Nature {
    fn default() -> Self {
        let (deaf, silent, stalled) = (false, false, false);
        Self { deaf, silent, stalled, os: None, script_output: String::new(), script_status: Some(0) }
    }
}

impl Boot {
    pub fn new(number: u64, since: Timestamp, (vcpus, ram_bytes): (u32, u64), desktop: Option<u16>) -> Self {
        Self { number, since, halts: None, vcpus, ram_bytes, gpus: Vec::new(), script: None, desktop }
    }

    pub fn with(self, gpus: &[PciAddress], script: Option<(StartupScriptId, bool)>) -> Self {
        Self { gpus: gpus.to_vec(), script, ..self }
    }

    /// The button was pressed, and the guest has heard it.
    pub fn heard_button(&mut self, now: Timestamp, pace: Pace) {
        self.halts.get_or_insert(later(now, pace.halt_us()));
    }

    /// The guest halts by itself.
    pub fn halt(&mut self, now: Timestamp) {
        self.halts = Some(now);
    }

    pub fn power(&self, now: Timestamp, nature: &Nature) -> Power {
        let Self { number: boot, since, halts, vcpus: _, ram_bytes: _, gpus: _, script: _, desktop: _ } =
            *self;
        match halts {
            Some(moment) if moment <= now => Power::Halted { boot },
            _ if nature.stalled => Power::Stalled { boot },
            _ => Power::On { boot, since },
        }
    }

    /// Where its desktop would be reached while it is on.
    pub fn desktop(&self, now: Timestamp, nature: &Nature) -> Option<SocketAddr> {
        let on = matches!(self.power(now, nature), Power::On { .. } | Power::Stalled { .. });
        self.desktop.filter(|_| on).map(|port| (Ipv4Addr::LOCALHOST, port).into())
    }

    pub fn guest(&self, now: Timestamp, pace: Pace, nature: &Nature) -> GuestSeen {
        let lease = later(self.since, pace.lease_us());
        if now < lease || self.halts.is_some_and(|moment| moment < lease) {
            return GuestSeen::default();
        }
        let agent = match () {
            () if nature.silent || !matches!(self.power(now, nature), Power::On { .. }) => AgentSeen::Absent,
            () if now < later(self.since, pace.agent_us()) => AgentSeen::Opened,
            () => AgentSeen::Answers { os: nature.os.clone() },
        };
        GuestSeen { leased: Some(lease), agent }
    }
}

fn later(moment: Timestamp, us: i64) -> Timestamp {
    Timestamp(moment.0.saturating_add(us))
}

/// Moments in files, to the microsecond: their words on the wire have only milliseconds.
pub(super) mod microseconds {
    use deckle_api::Timestamp;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(moment: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        moment.0.serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(from).map(Timestamp)
    }

    pub mod optional {
        use super::{Deserialize, Deserializer, Serialize, Serializer, Timestamp};

        pub fn serialize<S: Serializer>(moment: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
            moment.map(|moment| moment.0).serialize(to)
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
            Ok(Option::deserialize(from)?.map(Timestamp))
        }
    }
}
