//! Ports nobody else has.
//!
//! Binding port 0 and letting go of it again is not enough: between that and the peer's own bind
//! another test, in this process or another, may be given the same number. So a number is *held*,
//! by a lock on a file that goes away with the process, and numbers are taken from below the range
//! the kernel hands to clients.

use std::fs::{File, OpenOptions};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::Error;
use crate::error::make_dir;

/// A port held for as long as this value lives: no other test on this machine gets it.
///
/// It was free on 127.0.0.1 and ::1, over TCP and UDP, when it was drawn; whoever holds it may use
/// it on any loopback address.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Draws a port.
    ///
    /// # Errors
    ///
    /// When the folder of locks cannot be written, or every port is taken.
    pub fn free() -> Result<Self, Error> {
        let folder = std::env::temp_dir()
            .join(format!("perennial-ports-{}", rustix::process::geteuid().as_raw()));
        make_dir(&folder)?;
        let first = u16::try_from(std::process::id() % u32::from(COUNT)).unwrap_or(0);
        for _ in 0..COUNT {
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let number = FIRST + (first.wrapping_add(step)) % COUNT;
            let path = folder.join(number.to_string());
            let lock = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)
                .map_err(|cause| Error::failed(format!("opening {}", path.display()), cause))?;
            if lock.try_lock().is_ok() && is_free(number) {
                return Ok(Self { number, _lock: lock });
            }
        }
        Err(Error::failed("drawing a free port", "all are taken"))
    }

    /// Returns the number.
    #[must_use]
    pub const fn number(&self) -> u16 {
        self.number
    }

    /// Returns this port on 127.0.0.1.
    #[must_use]
    pub const fn v4(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.number)
    }

    /// Returns this port on ::1.
    #[must_use]
    pub const fn v6(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), self.number)
    }

    /// Returns this port on 127.0.0.`last`, where web servers and Knot may listen without setup.
    #[must_use]
    pub const fn on(&self, last: u8) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), self.number)
    }
}

/// The first port drawn, and how many there are: below the kernel's range for clients (32768).
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// Where this process goes on drawing, so that a port just given back is not drawn at once.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// Tells whether nobody listens on the port.
fn is_free(port: u16) -> bool {
    let addrs: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    addrs.into_iter().all(|addr| {
        TcpListener::bind((addr, port)).is_ok() && UdpSocket::bind((addr, port)).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ports_held_at_once_differ() {
        let held: Vec<Port> = (0..50).map(|_| Port::free().unwrap()).collect();
        let numbers: BTreeSet<u16> = held.iter().map(Port::number).collect();
        assert_eq!(numbers.len(), 50);
    }

    #[test]
    fn a_port_somebody_listens_on_is_not_free() {
        let port = Port::free().unwrap();
        assert!(is_free(port.number()));
        let _listener = TcpListener::bind(port.v4()).unwrap();
        assert!(!is_free(port.number()));
    }
}
