//! Promises on serial logs.

use deckle_engine::specs::StartupScriptSpec;

use super::{Case, Host};

/// How much is read at once where a whole log is meant.
const WHOLE: usize = 1 << 20;

pub async fn a_console_is_read_in_pieces(host: &Host) {
    let case = Case::new(host);
    case.make().await;
    case.engine().power_on(&case.boot_spec(1)).await.unwrap();
    let whole = case.wait_for_console().await;
    case.engine().cut_power(&case.machine).await.unwrap();
    let mut pieces = Vec::new();
    let mut from = 0;
    while pieces.len() < whole.len() {
        let piece = case.engine().read_console(&case.machine, from, 7).await.unwrap();
        assert!((1..=7).contains(&piece.bytes.len()), "{piece:?}");
        assert_eq!((piece.from, piece.next), (from, from + piece.bytes.len() as u64));
        from = piece.next;
        pieces.extend(piece.bytes);
    }
    assert_eq!(pieces[..whole.len()], whole, "pieces make up the log");
    let kept = case.engine().read_console(&case.machine, 0, WHOLE).await.unwrap();
    assert_eq!(kept.bytes[..whole.len()], whole, "a log stays when the power is cut");
    let end = case.engine().read_console(&case.machine, kept.next, WHOLE).await.unwrap();
    assert_eq!((end.from, end.next, end.bytes.len()), (kept.next, kept.next, 0));
    case.clear().await;
    let gone = case.engine().read_console(&case.machine, 0, WHOLE).await.unwrap();
    assert!(gone.bytes.is_empty(), "a log goes with the machine");
}

pub async fn a_console_that_never_was_is_empty(host: &Host) {
    let case = Case::new(host);
    let chunk = case.engine().read_console(&case.machine, 0, WHOLE).await.unwrap();
    assert_eq!((chunk.from, chunk.next, chunk.bytes.len()), (0, 0, 0));
}

pub async fn a_run_of_a_script_is_told_and_goes_with_the_machine(host: &Host) {
    let case = Case::new(host);
    let run = async || case.engine().read_script_run(&case.machine).await.unwrap();
    assert_eq!(run().await, None, "of a machine that never was");
    case.make().await;
    let mut spec = case.boot_spec(3);
    let (id, script) = ("sccontract".parse().unwrap(), "true\n".to_owned());
    spec.seed.startup_script = Some(StartupScriptSpec { id, script, once: false });
    case.engine().power_on(&spec).await.unwrap();
    let begun = std::time::Instant::now();
    let seen = loop {
        match run().await {
            Some(seen) if seen.exit_status.is_some() => break seen,
            _ => assert!(begun.elapsed() < host.up_limit * 2, "{} does not tell", case.machine),
        }
        tokio::time::sleep(host.look_every).await;
    };
    assert_eq!((seen.script.as_str(), seen.boot), ("sccontract", 3));
    assert_eq!((seen.exit_status, seen.output.as_str()), (Some(0), ""));
    case.engine().cut_power(&case.machine).await.unwrap();
    assert_eq!(run().await, Some(seen), "it is told when the power is off, too");
    case.clear().await;
    assert_eq!(run().await, None);
}

impl Case<'_> {
    /// Looks until the log has words.
    async fn wait_for_console(&self) -> Vec<u8> {
        let begun = std::time::Instant::now();
        loop {
            let chunk = self.engine().read_console(&self.machine, 0, WHOLE).await.unwrap();
            if !chunk.bytes.is_empty() {
                return chunk.bytes;
            }
            assert!(begun.elapsed() < self.host.up_limit, "{} says nothing", self.machine);
            tokio::time::sleep(self.host.look_every).await;
        }
    }
}
