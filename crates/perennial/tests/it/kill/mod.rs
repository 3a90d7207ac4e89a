//! `kill -9` at every boundary of every act, from an empty store to a certificate that is served.
//!
//! The daemon is the real one, and so are the CA, the name server and the web server. It kills
//! itself at the boundary whose number it is given (`perennial::run`, `boundary`); the numbers are
//! enumerated, 1, 2, 3, ..., until a run passes unkilled. Then it is started again and must finish:
//! what is checked afterwards is in `case`. In pairs, the restarted daemon is killed as well, at
//! each of its first three boundaries, and started a third time.
//!
//! Each daemon says where it was killed: at the end, every kind of act must have been killed at each
//! of its four boundaries. Acts in flight together may pass theirs in another order in another run;
//! a boundary that the numbers missed by that is asked for by its name.
//!
//! Each case has a store, a folder of targets and an nginx of its own, and a name of its own. Cases run
//! side by side in lanes; those of one lane, which follow each other, share a CA, so that the orders
//! that a case made can be counted.

mod case;
mod lane;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use case::{Case, End};
use lane::{Lane, Proof};

/// How many cases run side by side: they wait for the CA most of the time.
const LANES: usize = 14;

/// After how many kills a restarted daemon is killed again, in pairs.
const SECOND_KILLS: [&str; 3] = ["1", "2", "3"];

/// What a first issue and deployment does.
const KINDS: [&str; 12] = [
    "MakeKey",
    "NewAccount",
    "NewOrder",
    "Present",
    "Respond",
    "Finalize",
    "KeepBundle",
    "Stage",
    "Validate",
    "Activate",
    "Withdraw",
    "DropKey",
];

/// What each act passes.
const BOUNDARIES: [&str; 4] = ["BeforeStarted", "Started", "Done", "Ended"];

/// The variable that chooses one case: `17` or `17+2` or `Done of NewOrder`.
const ONLY: &str = "PERENNIAL_KILL_CASE";

#[tokio::test(flavor = "multi_thread")]
async fn http_a_kill_at_any_boundary_loses_nothing() {
    enumerate("http", Proof::Http, single).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alpn_a_kill_at_any_boundary_loses_nothing() {
    enumerate("alpn", Proof::TlsAlpn, single).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webroot_a_kill_at_any_boundary_loses_nothing() {
    enumerate("webroot", Proof::Webroot, single).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dns_a_kill_at_any_boundary_loses_nothing() {
    enumerate("dns", Proof::Dns, single).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn program_a_kill_at_any_boundary_loses_nothing() {
    enumerate("program", Proof::Program, single).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recovering_a_second_kill_loses_nothing() {
    let pairs = |first: &str| SECOND_KILLS.map(|second| vec![first.into(), second.into()]).into();
    enumerate("recovering", Proof::Http, pairs).await;
}

/// Makes the cases whose daemon is killed first at one boundary.
type Cases = fn(&str) -> Vec<Vec<String>>;

fn single(first: &str) -> Vec<Vec<String>> {
    vec![vec![first.into()]]
}

/// The cases that are still to be run, and what became of the others.
#[derive(Default)]
struct Todo {
    cases: VecDeque<Vec<String>>,
    /// The number of the next boundary.
    next: u64,
    /// The first boundary that no run reached.
    end: Option<u64>,
    /// Where daemons were killed first.
    killed_at: BTreeSet<String>,
    /// The cases that failed.
    failed: Vec<String>,
}

/// Runs the cases of each first boundary, until there is none any more.
async fn enumerate(test: &'static str, proof: Proof, cases: Cases) {
    let only = std::env::var(ONLY).ok();
    let todo = Arc::new(Mutex::new(Todo { next: 1, ..Todo::default() }));
    let names = proof.start().await;
    let mut lanes = Vec::new();
    for _ in 0..if only.is_some() { 1 } else { LANES } {
        lanes.push(Arc::new(Lane::start(Arc::clone(&names)).await));
    }
    if let Some(only) = &only {
        let mut todo = todo.lock().unwrap();
        todo.cases.push_back(only.split('+').map(str::to_owned).collect());
        todo.end = Some(0);
    }
    work_through(test, &lanes, &todo, cases).await;
    let missed = missed(&todo.lock().unwrap());
    if only.is_none() && !missed.is_empty() {
        eprintln!("{test}: {missed:?} by name");
        todo.lock().unwrap().cases.extend(missed.iter().flat_map(|name| cases(name)));
        work_through(test, &lanes, &todo, cases).await;
    }
    let todo = todo.lock().unwrap();
    assert!(todo.failed.is_empty(), "failed: {:?}", todo.failed);
    eprintln!("{test}: {} boundaries", todo.end.unwrap().saturating_sub(1));
    let missed = self::missed(&todo);
    assert!(only.is_some() || missed.is_empty(), "nothing was killed at {missed:?}");
}

/// Returns where nothing was killed and should have been.
fn missed(todo: &Todo) -> Vec<String> {
    let each = |kind| BOUNDARIES.map(|boundary| format!("{boundary} of {kind}"));
    KINDS.into_iter().flat_map(each).filter(|name| !todo.killed_at.contains(name)).collect()
}

async fn work_through(
    test: &'static str,
    lanes: &[Arc<Lane>],
    todo: &Arc<Mutex<Todo>>,
    cases: Cases,
) {
    let work = |lane: &Arc<Lane>| {
        tokio::spawn(work_in_lane(test, Arc::clone(lane), Arc::clone(todo), cases))
    };
    let working: Vec<_> = lanes.iter().map(work).collect();
    for lane in working {
        lane.await.unwrap();
    }
}

async fn work_in_lane(test: &'static str, lane: Arc<Lane>, todo: Arc<Mutex<Todo>>, cases: Cases) {
    loop {
        let next = next_case(&mut todo.lock().unwrap(), cases);
        let Some(kills) = next else { return };
        let label = kills.join("+");
        let first = kills.first().and_then(|first| first.parse::<u64>().ok());
        let repeat = format!("{ONLY}='{label}' cargo test -p perennial --test it kill::{test}");
        let lane = Arc::clone(&lane);
        let case = async move { Case::start(lane, kills, repeat).await.run().await };
        // A case that fails must not hide the others.
        let end = tokio::spawn(case).await;
        let mut todo = todo.lock().unwrap();
        match (end, first) {
            (Ok(End::Killed(at)), _) => {
                todo.killed_at.insert(at);
            }
            (Ok(End::Survived), Some(first)) => {
                todo.end = Some(todo.end.map_or(first, |end| end.min(first)));
            }
            // A boundary that was asked for by its name is one that is passed.
            (Ok(End::Survived), None) | (Err(_), _) => todo.failed.push(label),
        }
    }
}

fn next_case(todo: &mut Todo, cases: Cases) -> Option<Vec<String>> {
    if todo.cases.is_empty() && todo.end.is_none_or(|end| todo.next < end) {
        todo.cases.extend(cases(&todo.next.to_string()));
        todo.next += 1;
    }
    todo.cases.pop_front()
}
