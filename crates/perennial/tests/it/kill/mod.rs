//! `kill -9` at every boundary of every act, from an empty store to a certificate that is served.
//!
//! The daemon is the real one, and so are the CA, the name server and the web server. It kills
//! itself at the boundary whose number it is given (`perennial::run`, `boundary`); the numbers are
//! enumerated, 1, 2, 3, ..., until a run passes unkilled. Then it is started again and must finish:
//! what is checked afterwards is in `case`. In pairs, the restarted daemon is killed as well, at
//! each of its first three boundaries, and started a third time.
//!
//! Each case has a store, a folder of targets and an nginx of its own, and a name of its own. Cases run
//! side by side in lanes; those of one lane, which follow each other, share a CA, so that the orders
//! that a case made can be counted.

mod case;
mod lane;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use case::{Case, End};
use lane::{Lane, Proof};

/// How many cases run side by side: they wait for the CA most of the time.
const LANES: usize = 14;

/// After how many kills a restarted daemon is killed again, in pairs.
const SECOND_KILLS: [u64; 3] = [1, 2, 3];

/// Where a run must not end before: a boundary that is not passed is not tested.
const BOUNDARIES_AT_LEAST: u64 = 4 * 12;

/// The variable that chooses one case: `17` or `17+2`.
const ONLY: &str = "PERENNIAL_KILL_CASE";

#[tokio::test(flavor = "multi_thread")]
async fn http_a_kill_at_any_boundary_loses_nothing() {
    enumerate("http", Proof::Http, |first| vec![vec![first]]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dns_a_kill_at_any_boundary_loses_nothing() {
    enumerate("dns", Proof::Dns, |first| vec![vec![first]]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recovering_a_second_kill_loses_nothing() {
    let pairs = |first: u64| SECOND_KILLS.iter().map(|second| vec![first, *second]).collect();
    enumerate("recovering", Proof::Http, pairs).await;
}

/// The cases that are still to be run, and what became of the others.
struct Todo {
    cases: VecDeque<Vec<u64>>,
    next: u64,
    /// The first boundary that no run reached.
    end: Option<u64>,
    /// The cases that failed.
    failed: Vec<String>,
}

/// Runs the cases of each first boundary, until there is none any more.
async fn enumerate(test: &'static str, proof: Proof, cases: fn(u64) -> Vec<Vec<u64>>) {
    let only = std::env::var(ONLY).ok();
    let todo = Todo { cases: VecDeque::new(), next: 1, end: None, failed: Vec::new() };
    let todo = Arc::new(Mutex::new(todo));
    if let Some(only) = &only {
        let kills = only.split('+').map(|number| number.parse().unwrap()).collect();
        let mut todo = todo.lock().unwrap();
        todo.cases.push_back(kills);
        todo.end = Some(0);
    }
    let names = proof.start().await;
    let mut lanes = Vec::new();
    for _ in 0..if only.is_some() { 1 } else { LANES } {
        let lane = Arc::new(Lane::start(Arc::clone(&names)).await);
        lanes.push(tokio::spawn(work_through(test, lane, Arc::clone(&todo), cases)));
    }
    for lane in lanes {
        lane.await.unwrap();
    }
    let todo = todo.lock().unwrap();
    assert!(todo.failed.is_empty(), "failed: {:?}", todo.failed);
    let end = todo.end.unwrap();
    eprintln!("{test}: {} boundaries", end.saturating_sub(1));
    assert!(only.is_some() || end > BOUNDARIES_AT_LEAST, "only {end} boundaries");
}

async fn work_through(
    test: &'static str,
    lane: Arc<Lane>,
    todo: Arc<Mutex<Todo>>,
    cases: fn(u64) -> Vec<Vec<u64>>,
) {
    loop {
        let next = next_case(&mut todo.lock().unwrap(), cases);
        let Some(kills) = next else { return };
        let first = kills.first().copied().unwrap_or_default();
        let label = kills.iter().map(u64::to_string).collect::<Vec<_>>().join("+");
        let repeat = format!("{ONLY}={label} cargo test -p perennial --test it kill::{test}");
        let lane = Arc::clone(&lane);
        let case = async move { Case::start(lane, kills, repeat).await.run().await };
        // A case that fails must not hide the others.
        match tokio::spawn(case).await {
            // A daemon that recovers may have fewer boundaries before it than the second kill's.
            Ok(End::Killed | End::Recovered) => {}
            Ok(End::Survived) => {
                let mut todo = todo.lock().unwrap();
                todo.end = Some(todo.end.map_or(first, |end| end.min(first)));
            }
            Err(_) => todo.lock().unwrap().failed.push(label),
        }
    }
}

fn next_case(todo: &mut Todo, cases: fn(u64) -> Vec<Vec<u64>>) -> Option<Vec<u64>> {
    if todo.cases.is_empty() && todo.end.is_none_or(|end| todo.next < end) {
        todo.cases.extend(cases(todo.next));
        todo.next += 1;
    }
    todo.cases.pop_front()
}
