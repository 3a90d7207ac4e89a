//! A store backed up beside a running daemon, restored, and resumed.

use std::fs;
use std::process::Command;

use perennial_core::finding::Code;
use perennial_core::state::{Certificate, DeployStep, State};
use perennial_core::words::{Fingerprint, Name};

use crate::process::Process;
use crate::world::{WWW_BY_LISTENER, World, any_name};

fn www(state: &State) -> Option<&Certificate> {
    state.certificate(state.id(&Name::new("www"))?)
}

/// Returns the newest leaf, once it has this number and was seen.
fn seen(state: &State, number: u32) -> Option<Fingerprint> {
    let www = www(state)?;
    let leaf = www.leaf.as_deref().filter(|leaf| leaf.number >= number)?;
    let is_seen =
        |step: DeployStep| matches!(step, DeployStep::Seen { leaf: own, .. } if own == leaf.number);
    www.targets.iter().all(|target| is_seen(target.step)).then_some(leaf.facts.fingerprint)
}

fn waits(state: &State) -> bool {
    state.instance.waits_to_resume().is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_store_looks_takes_on_what_is_newer_and_goes_on_once_resumed() {
    let dns = any_name().await;
    let world = World::new(dns.addr(), &["www.example.test"]).await;
    let config = world.write(WWW_BY_LISTENER);
    let daemon = Process::start(&config).await;
    daemon.until("the first leaf seen", |state| seen(state, 1)).await;
    let made = Command::new("age-keygen").output().expect("age-keygen (apt-get install age)");
    let identity = String::from_utf8(made.stdout).unwrap();
    fs::write(world.path("identity"), &identity).unwrap();
    let recipient = identity.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
    let file = world.path("backup.age").display().to_string();
    let nobody = daemon.run(&["backup", &file]).await;
    assert_eq!(nobody.code, Some(3), "{}", nobody.out);
    assert!(nobody.err.contains("nobody is named") && nobody.err.contains("age-keygen"));
    let backed_up = daemon.run(&["backup", &file, "--recipient", recipient]).await;
    assert_eq!(backed_up.code, Some(0), "{}{}", backed_up.out, backed_up.err);
    let again = daemon.run(&["backup", &file, "--recipient", recipient]).await;
    assert!(again.err.contains("is there already"), "{}", again.err);
    let idle = daemon.run(&["resume"]).await;
    assert!(idle.err.contains("was not restored"), "{}{}", idle.out, idle.err);
    // What happens after the backup is not in it.
    daemon.run(&["renew", "www", "--now", "--no-wait"]).await;
    let newer = daemon.until("the second leaf seen", |state| seen(state, 2)).await;
    daemon.stop().await;
    fs::rename(world.path("store"), world.path("lost")).unwrap();

    let restore = |identity: &str| {
        let args = ["restore", &file, "--identity", identity];
        let output = crate::process::command(&config, &args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, _, err) = restore(&config.display().to_string());
    assert_eq!(code, Some(3));
    assert!(err.contains("no age identity"), "{err}");
    let (code, out, err) = restore(&world.path("identity").display().to_string());
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("only looks until you say: perennial resume"), "{out}");

    let orders = world.orders();
    let daemon = Process::start(&config).await;
    let taken = |state: &State| {
        let leaf = www(state)?.leaf.as_deref()?;
        (leaf.facts.fingerprint == newer && waits(state)).then_some(())
    };
    daemon.until("the newer leaf taken on", taken).await;
    let is_told = |state: &State| {
        let mut open = state.instance.history.incidents.iter();
        open.any(|incident| incident.code == Code::StoreRestored).then_some(())
    };
    daemon.until("store.restored", is_told).await;
    daemon.run(&["renew", "www", "--now", "--no-wait"]).await;
    daemon.until("the wish", |state| www(state)?.requested_at).await;
    let status = daemon.run(&["status"]).await;
    assert!(status.out.contains("perennial resume"), "{}", status.out);
    assert_eq!(world.orders(), orders, "nothing is ordered");
    let resumed = daemon.run(&["resume"]).await;
    assert_eq!(resumed.code, Some(0), "{}{}", resumed.out, resumed.err);
    let renewed = |state: &State| {
        let leaf = seen(state, 1)?;
        (leaf != newer && !waits(state)).then_some(())
    };
    daemon.until("a renewal once it was resumed", renewed).await;
    assert_eq!(world.orders(), orders + 1);
    daemon.stop().await;
}
