//! Peers end with their owner, whatever way it ends.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use perennial_peers::{
    Bind, ChallTestSrv, DnsOptions, Error, Knot, Nginx, NginxOptions, Pebble, PebbleOptions, Port,
    Server, until,
};

/// The processes a parent has now.
fn children_of(pid: u32) -> Vec<u32> {
    let path = PathBuf::from(format!("/proc/{pid}/task/{pid}/children"));
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// Tells whether a process runs (one that ended but was not reaped yet does not).
fn runs(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z')
    })
}

async fn nginx(port: &Port) -> Nginx {
    let servers = vec![Server::named(&[]).http(port.v4())];
    Nginx::start(NginxOptions { servers, ..NginxOptions::default() }).await.unwrap()
}

#[tokio::test]
async fn a_dropped_nginx_takes_its_workers_along() {
    let port = Port::free().unwrap();
    let nginx = nginx(&port).await;
    let master = nginx.pid().unwrap();
    let workers = until("nginx has workers", Duration::from_secs(10), async || {
        let workers = children_of(master);
        (workers.len() == 2).then_some(workers)
    })
    .await
    .unwrap();
    drop(nginx);
    until("all have ended", Duration::from_secs(10), async || {
        workers.iter().chain([&master]).all(|&pid| !runs(pid)).then_some(())
    })
    .await
    .unwrap();
}

/// Runs in a process of its own, which the test below kills; alone it does nothing.
#[tokio::test]
async fn owner_to_be_killed() {
    let Ok(file) = std::env::var("PEERS_TEST_TELL_PID_IN") else {
        return;
    };
    let port = Port::free().unwrap();
    let nginx = nginx(&port).await;
    let half = format!("{file}.half");
    std::fs::write(&half, nginx.pid().unwrap().to_string()).unwrap();
    std::fs::rename(half, file).unwrap();
    std::future::pending::<()>().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn peers_end_when_their_owner_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pid");
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "life::owner_to_be_killed"])
        .env("PEERS_TEST_TELL_PID_IN", &file)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let peer: u32 = until("the owner has started nginx", Duration::from_secs(30), async || {
        std::fs::read_to_string(&file).ok()?.parse().ok()
    })
    .await
    .unwrap();
    assert!(runs(peer));
    owner.kill().unwrap();
    owner.wait().unwrap();
    until("nginx has ended", Duration::from_secs(10), async || (!runs(peer)).then_some(()))
        .await
        .unwrap();
}

#[tokio::test]
async fn peers_can_be_started_at_once_in_tasks_of_their_own() {
    let start = || async {
        let port = Port::free()?;
        let servers = vec![Server::named(&[]).http(port.v4())];
        let nginx = Nginx::start(NginxOptions { servers, ..NginxOptions::default() }).await?;
        Ok::<_, Error>((port, nginx))
    };
    let started = [tokio::spawn(start()), tokio::spawn(start())];
    for task in started {
        let (port, _nginx) = task.await.unwrap().unwrap();
        assert!(tokio::net::TcpStream::connect(port.v4()).await.is_ok());
    }
}

/// Fails to compile when a start cannot be moved to another thread.
#[test]
fn every_start_can_be_sent_to_another_thread() {
    fn sendable(_: impl Send) {}
    let at = "127.0.0.1:1".parse().unwrap();
    sendable(Pebble::start(PebbleOptions::asking(at)));
    sendable(ChallTestSrv::start(None));
    sendable(Bind::start(DnsOptions::default()));
    sendable(Knot::start(DnsOptions::default()));
}
