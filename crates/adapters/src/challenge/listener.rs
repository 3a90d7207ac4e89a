//! http-01 by a server of our own.
//!
//! It serves the answers that are up and nothing else. It starts with the daemon; an address that
//! cannot be had then is tried again by whoever runs it, and whenever an answer is presented, so
//! that a port freed later needs no restart. After a crash no answer is up: core presents those it
//! still needs.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use perennial_core::words::{Answer, Failure, Name};
use perennial_wire::authorization::key_authorization;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::crowd::Crowd;
use super::http;
use super::token;
use super::trouble::Trouble;

/// Serves http-01 answers on its addresses.
#[derive(Debug)]
pub struct Listener {
    table: Arc<Table>,
    places: Mutex<Vec<Place>>,
}

/// The answers that are up: key authorizations by token.
type Table = RwLock<BTreeMap<String, String>>;

#[derive(Debug)]
struct Place {
    address: SocketAddr,
    /// The address it got, and the task that accepts there.
    serving: Option<(SocketAddr, JoinHandle<()>)>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((_, task)) = &self.serving {
            task.abort();
        }
    }
}

impl Listener {
    /// Makes a listener, which listens nowhere yet. Usual addresses are `[::]:80` and `0.0.0.0:80`:
    /// each gets a socket of its own, for its family alone.
    #[must_use]
    pub fn new(addresses: Vec<SocketAddr>) -> Arc<Self> {
        let place = |address| Place { address, serving: None };
        let places = Mutex::new(addresses.into_iter().map(place).collect());
        Arc::new(Self { table: Arc::default(), places })
    }

    /// Listens wherever it does not yet. May be called again, so that what is missing is known
    /// long before an answer is to be shown.
    ///
    /// # Errors
    ///
    /// Returns which address cannot be had, and why, blamed as of the solver `solver`.
    pub async fn start(&self, solver: &Name) -> Result<(), Failure> {
        let listening = self.listen().await;
        listening.map_err(|trouble| trouble.classify(solver, "be ready to show http-01 answers"))
    }

    /// Returns the addresses where answers are shown now.
    pub async fn addresses(&self) -> Vec<SocketAddr> {
        let places = self.places.lock().await;
        places.iter().filter_map(|place| place.serving.as_ref().map(|(at, _)| *at)).collect()
    }

    pub(super) async fn present(&self, answer: &Answer) -> Result<(), Trouble> {
        let token = token(answer)?.to_owned();
        self.listen().await?;
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        table.insert(token, key_authorization(answer));
        Ok(())
    }

    pub(super) fn withdraw(&self, answer: &Answer) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        table.remove(&*answer.token);
    }

    /// Listens wherever it does not yet.
    async fn listen(&self) -> Result<(), Trouble> {
        let mut places = self.places.lock().await;
        let mut failed = None;
        for place in places.iter_mut() {
            if place.serving.as_ref().is_some_and(|(_, task)| !task.is_finished()) {
                continue;
            }
            match bind(place.address).and_then(|socket| Ok((socket.local_addr()?, socket))) {
                Ok((at, socket)) => {
                    let task = tokio::spawn(accept(socket, Arc::clone(&self.table)));
                    place.serving = Some((at, task));
                }
                Err(source) => {
                    place.serving = None;
                    failed = failed.or(Some((place.address, source)));
                }
            }
        }
        let is_any = places.iter().any(|place| place.serving.is_some());
        match failed {
            Some((address, source)) if !(is_any && is_without_family(address, &source)) => {
                Err(Trouble::Listen { address, source })
            }
            _ => Ok(()),
        }
    }
}

/// A machine without IPv6 (or IPv4) cannot listen on that family's every-address, and need not.
fn is_without_family(address: SocketAddr, error: &io::Error) -> bool {
    let family_is_missing = error.raw_os_error()
        == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
        || error.kind() == io::ErrorKind::AddrNotAvailable;
    let is_every_address = match address.ip() {
        IpAddr::V4(ip) => ip.is_unspecified(),
        IpAddr::V6(ip) => ip.is_unspecified(),
    };
    is_every_address && family_is_missing
}

/// Makes a socket that listens for its own family only, so that `[::]` and `0.0.0.0` go together.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    // A connection of the last run that is still closing must not keep us from listening.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts for ever. Each connection is bounded in time and size by [`http::serve`], and all of
/// them in number by [`Crowd`].
async fn accept(socket: TcpListener, table: Arc<Table>) {
    let mut crowd = Crowd::default();
    loop {
        tokio::select! {
            accepted = socket.accept() => match accepted {
                Ok((stream, from)) => {
                    let table = Arc::clone(&table);
                    crowd.admit(from.ip(), async move {
                        let find = |token: &str| {
                            table.read().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
                        };
                        http::serve(stream, find).await;
                    });
                }
                // Out of descriptors, or the connection is gone already; neither ends the listener.
                Err(_) => tokio::time::sleep(AFTER_FAILED_ACCEPT).await,
            },
            () = crowd.leave() => {}
        }
    }
}

/// How many connections wait for us in the kernel.
const BACKLOG: i32 = 1024;

/// How long nothing is accepted after a failure.
const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(50);
