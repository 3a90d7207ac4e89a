//! What the hands share: DER, keys, HTTP, DNS exchange, TLS handshakes.

pub mod alpn;
pub mod authorization;
pub mod clock;
pub mod digest;
pub mod dns;
pub mod host;
pub mod http;
pub mod key;
pub mod mac;
pub mod net;
pub mod private_key;
pub mod program;
pub mod revocation;
pub mod shelf;
pub mod tls;
pub mod x509;
