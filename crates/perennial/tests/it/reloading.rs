//! The file is read again: on `SIGHUP`, and when it changes. And what is kept when it does not say
//! all that is needed any more.

use perennial_core::finding::Code;
use perennial_core::state::State;
use perennial_core::words::Name;
use perennial_peers::Port;
use rustix::process::Signal;

use crate::process::Process;
use crate::running::configure;
use crate::world::{WWW_BY_LISTENER, World, any_name};

/// Declares certificates at a CA that nobody answers for.
fn declaring(names: &[&str]) -> String {
    let nowhere = Port::free().unwrap();
    let mut text = format!(
        "agree_terms = true\n[store]\ndir = \"store\"\n[resolver]\nservers = [\"127.0.0.1:{port}\"]\n\
         [issuer.ca]\ndirectory = \"https://127.0.0.1:{port}/dir\"\nkind = \"private\"\n\
         [solver.web]\nhttp-01 = \"webroot\"\nwebroot = \"webroot\"\n",
        port = nowhere.number(),
    );
    for name in names {
        text += &format!("[certificate.{name}]\nnames = [\"{name}.test\"]\nendpoints = []\n");
    }
    text
}

fn is_declared(state: &State, name: &str) -> Option<()> {
    state.id(&Name::new(name)).map(|_| ())
}

fn is_found(state: &State, code: Code) -> bool {
    state.instance.history.incidents.iter().any(|incident| incident.code == code)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_takes_on_a_good_file_and_keeps_the_last_good_one() {
    let folder = tempfile::tempdir().unwrap();
    let config = configure(folder.path(), &declaring(&["a"]));
    let daemon = Process::start(&config).await;
    daemon.until("a", |state| is_declared(state, "a")).await;
    // A file that has not changed is read as well: its secrets may have.
    let accepted = daemon.count("intent.accepted");
    daemon.signal(Signal::HUP);
    let is_read = |_: &State| (daemon.count("intent.accepted") > accepted).then_some(());
    daemon.until("second reading", is_read).await;

    configure(folder.path(), &declaring(&["a", "b"]));
    daemon.signal(Signal::HUP);
    daemon.until("b", |state| is_declared(state, "b")).await;

    configure(folder.path(), "[broken");
    daemon.signal(Signal::HUP);
    let refused = |state: &State| is_found(state, Code::ConfigRefused).then_some(());
    daemon.until("config.refused", refused).await;
    configure(folder.path(), &declaring(&["a", "b", "c"]));
    daemon.signal(Signal::HUP);
    daemon.until("c", |state| is_declared(state, "c")).await;
    let resolved = |state: &State| (!is_found(state, Code::ConfigRefused)).then_some(());
    daemon.until("end of config.refused", resolved).await;

    // Nobody says anything this time.
    configure(folder.path(), &declaring(&["a", "b", "c", "d"]));
    daemon.until("d", |state| is_declared(state, "d")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_is_told_by_the_daemon_and_by_plan() {
    let folder = tempfile::tempdir().unwrap();
    let config = configure(folder.path(), &declaring(&["a"]));
    let daemon = Process::start(&config).await;
    configure(folder.path(), &(declaring(&["a"]) + "[certificate.b]\nname = [\"b.test\"]\n"));
    daemon.signal(Signal::HUP);
    let refused = |state: &State| is_found(state, Code::ConfigRefused).then_some(());
    daemon.until("config.refused", refused).await;
    let plan = daemon.run(&["plan"]).await;
    assert_eq!(plan.code, Some(1));
    assert!(plan.err.contains("unknown key `name`"), "{}", plan.err);
}

/// Declares another certificate by other means, and nothing of what there was.
fn another(world: &World) -> std::path::PathBuf {
    let text = format!(
        "[store]\ndir = \"store\"\n[resolver]\nservers = [\"{}\"]\n\
         [issuer.other]\ndirectory = \"https://127.0.0.1:9/dir\"\nkind = \"private\"\n\
         agree_terms = true\n\
         [solver.other]\nhttp-01 = \"webroot\"\nwebroot = \"webroot\"\n\
         [certificate.other]\nnames = [\"other.test\"]\nendpoints = []\n",
        world.resolver
    );
    configure(world.folder.path(), &text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_keeps_its_means_through_a_kill_while_held_and_when_undeclared() {
    let dns = any_name().await;
    let world = World::new(dns.addr(), &["www.example.test"]).await;
    let four = |n| format!("[certificate.c{n}]\nnames = [\"c{n}.test\"]\nendpoints = []\n");
    let five = WWW_BY_LISTENER.to_owned() + &(1..5).map(four).collect::<String>();
    let daemon = Process::start(&world.write(&five)).await;
    let renewed = daemon.run(&["renew", "www"]).await;
    assert_eq!(renewed.code, Some(0), "{}{}", renewed.out, renewed.err);

    let config = another(&world);
    let held = |state: &State| is_found(state, Code::ConfigRemovalHeld).then_some(());
    daemon.until("config.removal-held", held).await;
    daemon.kill().await;
    let daemon = Process::start(&config).await;
    let renewed = daemon.run(&["renew", "--now", "www"]).await;
    assert_eq!(renewed.code, Some(0), "{}{}", renewed.out, renewed.err);
    assert!(renewed.out.contains("www: leaf 2, "), "{}", renewed.out);

    assert_eq!(daemon.run(&["confirm"]).await.code, Some(0));
    let undeclared = |state: &State| {
        let certificate = state.certificate(state.id(&Name::new("www"))?)?;
        certificate.undeclared_at.map(|_| ())
    };
    daemon.until("undeclared certificate", undeclared).await;
    daemon.kill().await;
    let daemon = Process::start(&config).await;
    let renewed = daemon.run(&["renew", "--now", "www"]).await;
    assert_eq!(renewed.code, Some(0), "{}{}", renewed.out, renewed.err);
    assert!(renewed.out.contains("www: leaf 3, "), "{}", renewed.out);
}
