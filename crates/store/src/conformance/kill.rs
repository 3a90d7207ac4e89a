//! Being killed: what was receipted is there, what was half done is not.
//!
//! A child process calls [`write_for_ever`] and tells each receipt on its output. The parent kills
//! it at some moment, calls [`check`] with the last thing told, and starts the next child on the
//! same store.

use std::io::Write;

use perennial_core::record::Stream;
use perennial_core::words::Slot;

use super::{Backend, batch, checkpoint, read_all, read_stream, record, stream};
use crate::journal::Journal;
use crate::vault::Vault;

/// Appends, checkpoints, archives and makes keys until killed; after each round its number is
/// written to `told` on a line of its own, as `durable <number>`.
///
/// # Panics
///
/// Panics if the store refuses something.
pub fn write_for_ever<B: Backend>(backend: &B, told: &mut dyn Write) {
    let (mut journal, vault) = (backend.journal(), backend.vault());
    let epoch = journal.acquire_epoch().expect("an epoch");
    let streams = streams();
    let last = journal.last_version(&streams[0]).expect("a version");
    for round in last + 1.. {
        // The key first: bytes are durable before the record that names them.
        vault.put_key(&slot(round), &round.to_be_bytes()).expect("a key");
        if round > KEYS_KEPT {
            vault.drop_key(&slot(round - KEYS_KEPT)).expect("dropped");
        }
        let is_checkpoint = round.is_multiple_of(CHECKPOINT_EVERY);
        let make = if is_checkpoint { checkpoint } else { record };
        let records = streams.iter().map(|stream| make(stream, round, epoch)).collect();
        journal.append(&batch(round, records), epoch).expect("an append");
        journal.archive(ARCHIVE_STEP).expect("a step");
        writeln!(told, "durable {round}").and_then(|()| told.flush()).expect("a line");
    }
}

/// Checks a store whose writer was killed after telling `told`.
///
/// # Panics
///
/// Panics if something told is missing, or something is there in part.
pub fn check<B: Backend>(backend: &B, told: u64) {
    let (journal, vault) = (backend.journal(), backend.vault());
    let last = journal.last_version(&streams()[0]).expect("a version");
    assert!(last >= told, "round {told} was receipted, and {last} is the last there");
    for stream in streams() {
        let versions: Vec<u64> =
            read_stream(&journal, &stream, 1).iter().map(|record| record.version).collect();
        assert_eq!(versions, (1..=last).collect::<Vec<_>>(), "{stream}");
    }
    let start = (last / CHECKPOINT_EVERY * CHECKPOINT_EVERY).max(1);
    let read = read_all(&journal).len() as u64;
    assert_eq!(read, (last - start + 1) * streams().len() as u64, "from checkpoint {start} on");
    for round in last.saturating_sub(KEYS_KEPT - 2).max(1)..=last {
        let key = vault.key(&slot(round)).expect("readable").expect("the key of a durable round");
        assert_eq!(**key, round.to_be_bytes());
    }
    for slot in vault.keys().expect("a list") {
        vault.key(&slot).expect("no key is there in part");
    }
}

fn streams() -> [Stream; 3] {
    ["one", "two", "three"].map(stream)
}

fn slot(round: u64) -> Slot {
    Slot(format!("certificate/one/{round}").into())
}

const CHECKPOINT_EVERY: u64 = 16;
const ARCHIVE_STEP: usize = 5;
const KEYS_KEPT: u64 = 8;
