//! A server that was configured by name or by address.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// A host, by name or address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The name, or the address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl HostPort {
    /// Finds the addresses as this machine does for all its programs; an address stands for itself.
    ///
    /// Looked up anew each time: a name may move while we run. The caller bounds the time.
    ///
    /// # Errors
    ///
    /// Returns why the name leads nowhere.
    pub async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        if let Ok(ip) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, self.port)]);
        }
        let found: Vec<SocketAddr> =
            tokio::net::lookup_host((self.host.as_str(), self.port)).await?.collect();
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(found)
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.parse::<IpAddr>() {
            Ok(ip) => write!(f, "{}", SocketAddr::new(ip, self.port)),
            Err(_) => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl From<SocketAddr> for HostPort {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_stands_for_itself_and_a_name_is_looked_up() {
        let host = |host: &str| HostPort { host: host.to_owned(), port: 53 };
        assert_eq!(host("::1").addresses().await.unwrap(), ["[::1]:53".parse().unwrap()]);
        assert_eq!(host("::1").to_string(), "[::1]:53");
        assert!(!host("localhost").addresses().await.unwrap().is_empty());
        assert!(host("no such name.invalid").addresses().await.is_err());
    }
}
