//! `perennial renew` beside the real daemon: what it shows, how it ends, what it leaves alone.

use perennial_core::state::{Attempt, State};
use perennial_core::words::Name;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::process::{Process, command};
use crate::world::{WWW_BY_LISTENER, World, any_name};

/// Returns the number of the certificate's leaf.
fn leaf(state: &State, name: &str) -> Option<u32> {
    let certificate = state.certificate(state.id(&Name::new(name))?)?;
    certificate.leaf.as_deref().map(|leaf| leaf.number)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_is_watched_until_its_leaf_is_seen() {
    let dns = any_name().await;
    let world = World::new(dns.addr(), &["www.example.test"]).await;
    let daemon = Process::start(&world.write(WWW_BY_LISTENER)).await;
    let renewed = daemon.run(&["renew"]).await;
    assert_eq!((renewed.code, renewed.err.as_str()), (Some(0), ""), "{}", renewed.out);
    let lines: Vec<&str> = renewed.out.lines().collect();
    for step in ["www.example.test is proven", "kept the new leaf", "installed the new leaf"] {
        assert!(lines.iter().any(|line| line.contains(step)), "{step}:\n{}", renewed.out);
    }
    let last = lines.last().unwrap();
    assert!(last.starts_with("www: leaf 1, until "), "{last}");
    assert!(last.contains(", seen at 1 of 1 address (after "), "{last}");

    let renewed = daemon.run(&["renew", "--json", "--now", "www"]).await;
    assert_eq!((renewed.code, renewed.err.as_str()), (Some(0), ""), "{}", renewed.out);
    let lines: Vec<serde_json::Value> =
        renewed.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["kind"], "renewal.requested");
    let end = lines.last().unwrap();
    assert_eq!((&end["kind"], &end["well"]), (&"renew.ended".into(), &true.into()), "{end}");
    assert_eq!(end["certificates"][0]["leaf"], 2);
    assert_eq!(end["certificates"][0]["ended"], "seen");

    let asked = daemon.run(&["renew", "--no-wait", "--now", "www"]).await;
    assert_eq!(asked.out, "www: renewal begins\nfollow it: perennial journal --follow\n");
    daemon.until("third leaf", |state| (leaf(state, "www") == Some(3)).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_a_block_is_drawn_while_it_runs_and_nothing_of_it_is_left() {
    let dns = any_name().await;
    let world = World::new(dns.addr(), &["www.example.test"]).await;
    let config = world.write(WWW_BY_LISTENER);
    let daemon = Process::start(&config).await;
    daemon.until("leaf", |state| leaf(state, "www")).await;
    let program = env!("CARGO_BIN_EXE_perennial");
    let line = format!("'{program}' renew --now www --config '{}'", config.display());
    let mut script = tokio::process::Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    script.env("TERM", "xterm").env("NO_COLOR", "1").stdin(std::process::Stdio::null());
    let output = script.output().await.expect("script is needed: apt-get install bsdutils");
    let shown = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{shown:?}");
    let (drawn, end) = shown.rsplit_once("\u{1b}[J").expect("a block was drawn");
    assert!(drawn.contains("\u{1b}[?7l"), "{shown:?}");
    assert!(end.contains("www: leaf 2, until ") && !end.contains("\u{1b}[?7l"), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_fails_ends_with_its_cause_and_the_next_try() {
    let dns = any_name().await;
    let world = World::new(dns.addr(), &["www.example.test"]).await;
    // The CA looks at one port, and we answer at another.
    let elsewhere = perennial_peers::Port::free().unwrap();
    let listen = format!("127.0.0.1:{}", elsewhere.number());
    let daemon =
        Process::start(&world.write(&WWW_BY_LISTENER.replace("127.0.0.1:@HTTP@", &listen))).await;
    let renewed = daemon.run(&["renew", "www"]).await;
    assert_eq!((renewed.code, renewed.err.as_str()), (Some(1), ""), "{}", renewed.out);
    let (_, end) = renewed.out.split_once("www: not renewed (after ").unwrap();
    assert!(end.contains("could not validate www.example.test"), "{end}");
    assert!(end.contains("\n  tried again in "), "{end}");
    assert!(end.contains("\n\nhint: what happened: perennial journal www; "), "{end}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stops_watching_stops_nothing_else() {
    let dns = any_name().await;
    let world = World::new(dns.addr(), &["www.example.test"]).await;
    let config = world.write(WWW_BY_LISTENER);
    let daemon = Process::start(&config).await;
    let mut watching = tokio::process::Command::from(command(&config, &["renew", "www"]));
    let mut watching = watching.spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    lines.next_line().await.unwrap().expect("it tells what happens");
    let pid = watching.id().and_then(|id| Pid::from_raw(id.cast_signed())).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let ended = watching.wait_with_output().await.unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(3), "{told}");
    let expected = "stopped watching; the renewal of www goes on\n\n\
                    hint: watch it: perennial journal --follow www\n";
    assert_eq!(told, expected);
    daemon.until("leaf", |state| leaf(state, "www")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_ends_is_told_to_whoever_watches() {
    let dns = any_name().await;
    let mut world = World::new(dns.addr(), &["www.example.test"]).await;
    world.pebble.stop();
    let config = world.write(WWW_BY_LISTENER);
    let daemon = Process::start(&config).await;
    let is_renewing = |state: &State| {
        let certificate = state.certificate(state.id(&Name::new("www"))?)?;
        matches!(certificate.attempt, Attempt::Running(_)).then_some(())
    };
    daemon.until("attempt", is_renewing).await;
    let mut watching = tokio::process::Command::from(command(&config, &["renew", "www"]));
    let mut watching = watching.spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().expect("it tells what happens");
    assert!(line.contains("could not read the directory"), "{line}");
    daemon.kill().await;
    let ended = watching.wait_with_output().await.unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(3), "{told}");
    assert!(told.starts_with("the daemon ended while it renewed www\n\nhint: "), "{told}");
}
