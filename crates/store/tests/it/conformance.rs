//! The suite every backend passes, and the one where the writer is killed.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use perennial_store::conformance::{self, kill};

use crate::{OnDisk, on_disk};

#[test]
fn sqlite_and_files_keep_the_contract() {
    conformance::run(on_disk);
}

const FOLDER: &str = "PERENNIAL_STORE_TEST_FOLDER";

/// Not a test by itself: what the next one runs in a process of its own and kills.
#[test]
fn child_that_writes_until_killed() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let backend = OnDisk { folder: PathBuf::from(folder) };
        kill::write_for_ever(&backend, &mut std::io::stdout());
    }
}

#[test]
fn a_killed_writer_loses_nothing_it_was_receipted() {
    let backend = on_disk();
    let mut last = 0;
    for lines in [1, 2, 3, 15, 16, 17, 40, 5, 64, 33] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "conformance::child_that_writes_until_killed", "--nocapture"])
            .env(FOLDER, backend.folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let told = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        // libtest writes "test ... " without an end of line before the first.
        let mut rounds = told.filter_map(|line| {
            let (_, number) = line.rsplit_once("durable ")?;
            number.parse::<u64>().ok()
        });
        last = rounds.nth(lines - 1).expect("the child tells its rounds");
        child.kill().unwrap();
        // What it told before it died counts as well.
        last = rounds.last().unwrap_or(last);
        child.wait().unwrap();
        kill::check(&backend, last);
    }
    assert!(last > 190);
}
