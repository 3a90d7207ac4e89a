//! http-01 and tls-alpn-01 by a server of our own.
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

use perennial_core::words::{Answer, ChallengeKind, Failure, Name};
use perennial_wire::alpn::{self, AlpnAnswer};
use perennial_wire::authorization::key_authorization;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::crowd::Crowd;
use super::http;
use super::token;
use super::trouble::Trouble;

/// Serves the answers of one type of challenge on its addresses.
#[derive(Debug)]
pub struct Listener {
    shown: Arc<Shown>,
    places: Mutex<Vec<Place>>,
}

/// The answers that are up.
#[derive(Debug)]
enum Shown {
    /// Key authorizations by token.
    Http(RwLock<BTreeMap<String, String>>),
    /// Certificates by the name that a CA asks for. It asks for no token: of several answers for
    /// one name, what was put up last is shown.
    TlsAlpn(RwLock<BTreeMap<String, Vec<Certificate>>>),
}

/// A certificate, and the token of the challenge it answers.
#[derive(Debug)]
struct Certificate {
    token: String,
    shown: AlpnAnswer,
}

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
    /// Makes a listener for http-01, which listens nowhere yet. Usual addresses are `[::]:80` and
    /// `0.0.0.0:80`: each gets a socket of its own, for its family alone.
    #[must_use]
    pub fn for_http(addresses: Vec<SocketAddr>) -> Arc<Self> {
        Self::showing(Shown::Http(RwLock::default()), addresses)
    }

    /// Makes a listener for tls-alpn-01, with port 443 as usual.
    #[must_use]
    pub fn for_tls_alpn(addresses: Vec<SocketAddr>) -> Arc<Self> {
        Self::showing(Shown::TlsAlpn(RwLock::default()), addresses)
    }

    fn showing(shown: Shown, addresses: Vec<SocketAddr>) -> Arc<Self> {
        let place = |address| Place { address, serving: None };
        let places = Mutex::new(addresses.into_iter().map(place).collect());
        Arc::new(Self { shown: Arc::new(shown), places })
    }

    /// Returns which challenges it answers.
    pub(super) fn kind(&self) -> ChallengeKind {
        match *self.shown {
            Shown::Http(_) => ChallengeKind::Http01,
            Shown::TlsAlpn(_) => ChallengeKind::TlsAlpn01,
        }
    }

    /// Listens wherever it does not yet. May be called again, so that what is missing is known
    /// long before an answer is to be shown.
    ///
    /// # Errors
    ///
    /// Returns which address cannot be had, and why, blamed as of the solver `solver`.
    pub async fn start(&self, solver: &Name) -> Result<(), Failure> {
        let listening = self.listen().await;
        let attempted = format!("be ready to show {} answers", self.kind().as_str());
        listening.map_err(|trouble| trouble.classify(solver, &attempted))
    }

    /// Returns the addresses where answers are shown now.
    pub async fn addresses(&self) -> Vec<SocketAddr> {
        let places = self.places.lock().await;
        places.iter().filter_map(|place| place.serving.as_ref().map(|(at, _)| *at)).collect()
    }

    pub(super) async fn present(&self, answer: &Answer) -> Result<(), Trouble> {
        let token = token(answer)?.to_owned();
        self.listen().await?;
        match &*self.shown {
            Shown::Http(table) => {
                let mut table = table.write().unwrap_or_else(PoisonError::into_inner);
                table.insert(token, key_authorization(answer));
            }
            Shown::TlsAlpn(table) => {
                let shown = AlpnAnswer::new(answer)?;
                let mut table = table.write().unwrap_or_else(PoisonError::into_inner);
                let of_name = table.entry(alpn::asked_name(&answer.identifier)).or_default();
                of_name.retain(|other| other.token != token);
                of_name.push(Certificate { token, shown });
            }
        }
        Ok(())
    }

    pub(super) fn withdraw(&self, answer: &Answer) {
        match &*self.shown {
            Shown::Http(table) => {
                let mut table = table.write().unwrap_or_else(PoisonError::into_inner);
                table.remove(&*answer.token);
            }
            Shown::TlsAlpn(table) => {
                let mut table = table.write().unwrap_or_else(PoisonError::into_inner);
                let name = alpn::asked_name(&answer.identifier);
                let Some(of_name) = table.get_mut(&name) else { return };
                of_name.retain(|other| *other.token != *answer.token);
                if of_name.is_empty() {
                    table.remove(&name);
                }
            }
        }
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
                    let task = tokio::spawn(accept(socket, Arc::clone(&self.shown)));
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
                Err(Trouble::Listen { address, source, kind: self.kind() })
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

/// Accepts for ever. Each connection is bounded in time and size by who serves it, and all of them
/// in number by [`Crowd`].
async fn accept(socket: TcpListener, shown: Arc<Shown>) {
    let mut crowd = Crowd::default();
    loop {
        tokio::select! {
            accepted = socket.accept() => match accepted {
                Ok((stream, from)) => {
                    let shown = Arc::clone(&shown);
                    crowd.admit(from.ip(), async move { shown.serve(stream).await });
                }
                // Out of descriptors, or the connection is gone already; neither ends the listener.
                Err(_) => tokio::time::sleep(AFTER_FAILED_ACCEPT).await,
            },
            () = crowd.leave() => {}
        }
    }
}

impl Shown {
    async fn serve(&self, stream: TcpStream) {
        match self {
            Self::Http(table) => {
                let find = |token: &str| {
                    table.read().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
                };
                http::serve(stream, find).await;
            }
            Self::TlsAlpn(table) => {
                let find = |name: &str| {
                    let table = table.read().unwrap_or_else(PoisonError::into_inner);
                    let newest = table.get(&name.to_ascii_lowercase())?.last()?;
                    Some(newest.shown.clone())
                };
                alpn::serve(stream, HANDSHAKE_TIME, find).await;
            }
        }
    }
}

/// How long a handshake and its end may take: CAs wait for ten seconds.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// How many connections wait for us in the kernel.
const BACKLOG: i32 = 1024;

/// How long nothing is accepted after a failure.
const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(50);
