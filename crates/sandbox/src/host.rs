//! TLS hosts: small web servers that serve what they have loaded, wherever they listen.
//!
//! The bundle lies in two files, full chain and key, as web servers want it. It is read when the
//! host starts and when it is told to reload: by a call, or by touching a file, since that is what
//! a reload command without a shell can do (`touch`). As with real servers, a bundle that cannot be
//! loaded leaves the old one in service.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use perennial_sim::model::host::{Met, ReloadError, TlsHost};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::door::Door;
use crate::error::SandboxError;
use crate::http::{speak, text};

/// How a host is set up.
#[derive(Clone, Debug)]
pub struct HostSetup {
    /// Its name, which its page shows.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its port on every address; 0 takes a free one.
    pub port: u16,
    /// The file with the leaf and what is above it, in PEM.
    pub chain: PathBuf,
    /// The file with the key, in PEM.
    pub key: PathBuf,
    /// The file that makes it reload when touched.
    pub trigger: Option<PathBuf>,
}

/// What a host has loaded.
#[derive(Clone)]
pub struct Loaded {
    config: Arc<rustls::ServerConfig>,
    leaf: CertificateDer<'static>,
}

impl Loaded {
    /// Returns the leaf's DER.
    #[must_use]
    pub fn leaf(&self) -> &[u8] {
        &self.leaf
    }
}

/// A host, running until dropped.
pub struct SandboxHost {
    shared: Arc<Shared>,
    watching: Option<JoinHandle<()>>,
}

struct Shared {
    setup: HostSetup,
    port: u16,
    model: Mutex<TlsHost<Loaded>>,
    doors: Mutex<Vec<(SocketAddr, Door)>>,
    handshakes: AtomicU64,
}

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How often the trigger is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// How many bytes a bundle's files may have.
const MAX_FILE: u64 = 1024 * 1024;

/// How many ports are tried for one that is free on every address.
const PORT_TRIES: usize = 50;

impl SandboxHost {
    /// Starts a host. Files that are not there yet are no error: then it speaks no TLS.
    ///
    /// # Errors
    ///
    /// Returns which address could not be bound.
    pub async fn start(setup: &HostSetup) -> Result<Self, SandboxError> {
        let (port, listeners) = bind_all(setup).await?;
        let addresses: Vec<SocketAddr> =
            setup.addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
        let mut model = TlsHost::new(&addresses);
        model.store(load(&setup.chain, &setup.key).ok());
        model.restart();
        let shared = Arc::new(Shared {
            setup: setup.clone(),
            port,
            model: Mutex::new(model),
            doors: Mutex::new(Vec::new()),
            handshakes: AtomicU64::new(0),
        });
        for (address, listener) in addresses.into_iter().zip(listeners) {
            // A host that is gone answers no more.
            let host = Arc::downgrade(&shared);
            let door = Door::new(listener, address, move |stream| {
                let host = host.upgrade();
                async move {
                    if let Some(host) = host {
                        greet(&host, stream, address).await;
                    }
                }
            });
            lock(&shared.doors).push((address, door));
        }
        let watching = setup.trigger.clone().map(|trigger| {
            // Seen here and not in the task: what is touched from now on counts.
            let seen = touched_at(&trigger);
            tokio::spawn(watch(Arc::clone(&shared), trigger, seen))
        });
        Ok(Self { shared, watching })
    }

    /// Returns its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.setup.name
    }

    /// Returns where it listens.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let ips = self.shared.setup.addresses.iter();
        ips.map(|ip| SocketAddr::new(*ip, self.shared.port)).collect()
    }

    /// Returns how many handshakes were completed.
    #[must_use]
    pub fn handshakes(&self) -> u64 {
        self.shared.handshakes.load(Ordering::Relaxed)
    }

    /// Loads what lies in the files, subject to the faults.
    ///
    /// # Errors
    ///
    /// Returns why what was loaded before is still served.
    pub fn reload(&self) -> Result<(), SandboxError> {
        self.shared.reload()
    }

    /// Looks at the model, or turns its faults on and off. An address that becomes unreachable
    /// refuses connections from then on.
    pub fn with<T>(&self, change: impl FnOnce(&mut TlsHost<Loaded>) -> T) -> T {
        let mut model = lock(&self.shared.model);
        let result = change(&mut model);
        for (address, door) in lock(&self.shared.doors).iter() {
            door.set_open(!matches!(model.connect(*address), Met::Unreachable));
        }
        result
    }

    /// Returns the DER of the leaf that an address serves.
    #[must_use]
    pub fn served(&self, address: SocketAddr) -> Option<Vec<u8>> {
        match lock(&self.shared.model).connect(address) {
            Met::Leaf(loaded) => Some(loaded.leaf.to_vec()),
            Met::NoTls | Met::Unreachable => None,
        }
    }
}

impl Drop for SandboxHost {
    fn drop(&mut self) {
        if let Some(watching) = &self.watching {
            watching.abort();
        }
        lock(&self.shared.doors).clear();
    }
}

impl Shared {
    fn reload(&self) -> Result<(), SandboxError> {
        let attempted = || format!("reload host {}", self.setup.name);
        let loaded = load(&self.setup.chain, &self.setup.key)
            .map_err(|cause| SandboxError::new(attempted(), &cause))?;
        let mut model = lock(&self.model);
        model.store(Some(loaded));
        model.reload().map_err(|error| {
            let cause = match error {
                ReloadError::Unreachable => "it cannot be reached",
                ReloadError::Refused => "it refused",
            };
            SandboxError::new(attempted(), &cause)
        })
    }
}

/// A panic elsewhere leaves what is locked whole: each step is one call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn greet(host: &Shared, stream: TcpStream, address: SocketAddr) {
    let config = match lock(&host.model).connect(address) {
        Met::Leaf(loaded) => Some(Arc::clone(&loaded.config)),
        Met::NoTls => None,
        Met::Unreachable => return,
    };
    let page = format!("hello from {}\n", host.setup.name);
    let serve = |_| {
        let page = page.clone();
        async move { Some(text(StatusCode::OK, page)) }
    };
    let Some(config) = config else { return speak(stream, serve).await };
    let accepting = TlsAcceptor::from(config).accept(stream);
    if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, accepting).await {
        host.handshakes.fetch_add(1, Ordering::Relaxed);
        speak(stream, serve).await;
    }
}

/// Reloads whenever the trigger has been touched.
async fn watch(host: Arc<Shared>, trigger: PathBuf, mut last: Option<SystemTime>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let now = touched_at(&trigger);
        if now.is_some() && now != last {
            // Nobody waits for the result: whoever touched the file looks at what is served.
            let _ = host.reload();
        }
        last = now;
    }
}

fn touched_at(trigger: &Path) -> Option<SystemTime> {
    std::fs::metadata(trigger).ok()?.modified().ok()
}

/// Reads a bundle; the key must be the leaf's.
fn load(chain: &Path, key: &Path) -> Result<Loaded, String> {
    let failed =
        |path: &Path, cause: &dyn std::fmt::Display| format!("{}: {cause}", path.display());
    let read = |path: &Path| {
        let size = std::fs::metadata(path).map_err(|error| failed(path, &error))?.len();
        if size > MAX_FILE {
            return Err(failed(path, &"too long"));
        }
        std::fs::read(path).map_err(|error| failed(path, &error))
    };
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&read(chain)?)
        .collect::<Result<_, _>>()
        .map_err(|error| failed(chain, &error))?;
    let leaf = certificates.first().cloned().ok_or_else(|| failed(chain, &"no certificate"))?;
    let private =
        PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| failed(key, &error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, private));
    let mut config = config.map_err(|error| failed(chain, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Loaded { config: Arc::new(config), leaf })
}

/// Binds every address under one port.
async fn bind_all(setup: &HostSetup) -> Result<(u16, Vec<TcpListener>), SandboxError> {
    let mut failure = None;
    for _ in 0..PORT_TRIES {
        match try_port(&setup.addresses, setup.port).await {
            Ok(bound) => return Ok(bound),
            Err(error) => failure = Some(error),
        }
        if setup.port != 0 {
            break;
        }
    }
    let cause = failure.map(|error| error.to_string()).unwrap_or_default();
    Err(SandboxError::new(format!("listen for host {}", setup.name), &cause))
}

async fn try_port(addresses: &[IpAddr], mut port: u16) -> std::io::Result<(u16, Vec<TcpListener>)> {
    let mut bound = Vec::new();
    for address in addresses {
        let listener = TcpListener::bind((*address, port)).await?;
        port = listener.local_addr()?.port();
        bound.push(listener);
    }
    Ok((port, bound))
}
