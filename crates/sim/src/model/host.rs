//! TLS hosts: what is stored is not what is served.
//!
//! A host loads what lies in its store when it starts and when it is told to reload, on each of its
//! addresses separately, as a fleet behind one name does. The leaf's type is the skin's: facts in
//! the simulator, a chain and key in the sandbox.

use std::collections::BTreeMap;
use std::net::SocketAddr;

/// A TLS host.
#[derive(Clone, Debug)]
pub struct TlsHost<L> {
    stored: Option<L>,
    listeners: BTreeMap<SocketAddr, Listener<L>>,
    /// What is wrong with it.
    pub faults: HostFaults,
}

/// What is wrong with a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostFaults {
    /// No address accepts connections, and reloading fails.
    pub unreachable: bool,
    /// Reloading says yes and does nothing.
    pub reload_does_nothing: bool,
    /// Reloading fails, and what was loaded stays.
    pub reload_fails: bool,
}

#[derive(Clone, Debug)]
struct Listener<L> {
    loaded: Option<L>,
    reachable: bool,
    reloads: bool,
}

/// What a connection to an address meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Met<'a, L> {
    /// A handshake with this leaf.
    Leaf(&'a L),
    /// A connection without TLS: nothing is loaded.
    NoTls,
    /// No connection.
    Unreachable,
}

/// Why a reload failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadError {
    /// The host could not be reached.
    Unreachable,
    /// It refused, and serves on what it had.
    Refused,
}

impl<L: Clone> TlsHost<L> {
    /// Makes a host with nothing stored.
    #[must_use]
    pub fn new(addresses: &[SocketAddr]) -> Self {
        let listener = || Listener { loaded: None, reachable: true, reloads: true };
        let listeners = addresses.iter().map(|address| (*address, listener())).collect();
        Self { stored: None, listeners, faults: HostFaults::default() }
    }

    /// Returns the addresses.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.keys().copied()
    }

    /// Puts a leaf into the store. Nothing is served by that.
    pub fn store(&mut self, leaf: Option<L>) {
        self.stored = leaf;
    }

    /// Returns what lies in the store.
    #[must_use]
    pub const fn stored(&self) -> Option<&L> {
        self.stored.as_ref()
    }

    /// Loads what is stored, wherever reloading works.
    ///
    /// # Errors
    ///
    /// Returns why nothing was loaded.
    pub fn reload(&mut self) -> Result<(), ReloadError> {
        if self.faults.unreachable {
            return Err(ReloadError::Unreachable);
        }
        if self.faults.reload_fails {
            return Err(ReloadError::Refused);
        }
        if !self.faults.reload_does_nothing {
            for listener in self.listeners.values_mut().filter(|listener| listener.reloads) {
                listener.loaded.clone_from(&self.stored);
            }
        }
        Ok(())
    }

    /// Loads what is stored on every address, as starting anew does, whatever is wrong with
    /// reloading.
    pub fn restart(&mut self) {
        for listener in self.listeners.values_mut() {
            listener.loaded.clone_from(&self.stored);
        }
    }

    /// Makes an address reachable or not.
    pub fn set_reachable(&mut self, address: SocketAddr, reachable: bool) {
        if let Some(listener) = self.listeners.get_mut(&address) {
            listener.reachable = reachable;
        }
    }

    /// Makes an address take part in reloads or not.
    pub fn set_reloads(&mut self, address: SocketAddr, reloads: bool) {
        if let Some(listener) = self.listeners.get_mut(&address) {
            listener.reloads = reloads;
        }
    }

    /// Connects.
    #[must_use]
    pub fn connect(&self, address: SocketAddr) -> Met<'_, L> {
        match self.listeners.get(&address) {
            Some(listener) if listener.reachable && !self.faults.unreachable => {
                listener.loaded.as_ref().map_or(Met::NoTls, Met::Leaf)
            }
            Some(_) | None => Met::Unreachable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_served_only_after_a_reload_that_works() {
        let addresses = [1, 2].map(|last| SocketAddr::from(([127, 0, 0, last], 443)));
        let [one, two] = addresses;
        let mut host = TlsHost::new(&addresses);
        assert_eq!(host.connect(one), Met::NoTls);
        host.store(Some("old"));
        host.restart();
        host.store(Some("new"));
        assert_eq!(host.connect(one), Met::Leaf(&"old"));
        host.faults.reload_does_nothing = true;
        assert_eq!(host.reload(), Ok(()));
        assert_eq!(host.connect(one), Met::Leaf(&"old"));
        host.faults = HostFaults { reload_fails: true, ..HostFaults::default() };
        assert_eq!(host.reload(), Err(ReloadError::Refused));
        host.faults = HostFaults { unreachable: true, ..HostFaults::default() };
        assert_eq!(host.reload(), Err(ReloadError::Unreachable));
        assert_eq!(host.connect(one), Met::Unreachable);
        host.faults = HostFaults::default();
        host.set_reloads(two, false);
        assert_eq!(host.reload(), Ok(()));
        assert_eq!((host.connect(one), host.connect(two)), (Met::Leaf(&"new"), Met::Leaf(&"old")));
        host.set_reachable(two, false);
        assert_eq!(host.connect(two), Met::Unreachable);
    }
}
