//! Doors: listening TCP sockets that can be shut and opened again.
//!
//! A shut door refuses connections as a dead machine's does, and throws out who is inside. How many
//! may be inside and for how long is bounded.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::error::SandboxError;

/// How many connections a door lets in at once; more are dropped.
const MAX_CONNECTIONS: usize = 512;

/// How long a connection may last.
const CONNECTION_LIFE: Duration = Duration::from_secs(600);

/// How long to wait before an address that cannot be bound is tried again.
const REBIND: Duration = Duration::from_millis(20);

/// A listening socket.
pub(crate) struct Door {
    open: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Door {
    /// Lets connections in, each to a task of its own.
    pub(crate) fn new<G, F>(listener: TcpListener, address: SocketAddr, greet: G) -> Self
    where
        G: Fn(TcpStream) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (open, opened) = watch::channel(true);
        let task = tokio::spawn(keep(Some(listener), address, opened, greet));
        Self { open, task }
    }

    /// Opens or shuts the door.
    pub(crate) fn set_open(&self, open: bool) {
        self.open.send_if_modified(|now| std::mem::replace(now, open) != open);
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Binds a TCP socket.
pub(crate) async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), SandboxError> {
    let failed = |error| SandboxError::new(format!("listen on {address}"), &error);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

async fn keep<G, F>(
    mut listener: Option<TcpListener>,
    address: SocketAddr,
    mut opened: watch::Receiver<bool>,
    greet: G,
) where
    G: Fn(TcpStream) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Dropped with this task, and its connections with it.
    let mut inside = JoinSet::new();
    loop {
        if !*opened.borrow_and_update() {
            listener = None;
            inside.shutdown().await;
            if opened.changed().await.is_err() {
                return;
            }
            continue;
        }
        let Some(bound) = &listener else {
            listener = TcpListener::bind(address).await.ok();
            if listener.is_none() {
                tokio::time::sleep(REBIND).await;
            }
            continue;
        };
        tokio::select! {
            changed = opened.changed() => if changed.is_err() { return },
            accepted = bound.accept() => {
                let Ok((stream, _)) = accepted else {
                    tokio::time::sleep(REBIND).await;
                    continue;
                };
                let Ok(place) = Arc::clone(&room).try_acquire_owned() else { continue };
                let visit = greet(stream);
                inside.spawn(async move {
                    // Who stays too long is dropped.
                    let _ = tokio::time::timeout(CONNECTION_LIFE, visit).await;
                    drop(place);
                });
            }
            Some(_) = inside.join_next() => {}
        }
    }
}
