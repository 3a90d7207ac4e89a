//! Real name servers that know two keys: `perennial`, which may update, and `powerless`.

use std::net::SocketAddr;

use perennial_peers::{Bind, DnsOptions, Knot, Port, TsigKey, Zone};

/// The secret of both keys on every server, in base64 and decoded.
pub(crate) const SECRET: (&str, &[u8]) =
    ("c2VjcmV0LW9mLXRoZS10ZXN0cy0wMTIzNDU2Nzg5", b"secret-of-the-tests-0123456789");

fn serving(at: SocketAddr, zone: &str, records: &str) -> DnsOptions {
    let key = |name: &str| Some(TsigKey { name: name.to_owned(), secret: SECRET.0.to_owned() });
    DnsOptions {
        listen: Some(at),
        zones: vec![Zone::new(zone, records)],
        tsig: key("perennial"),
        powerless: key("powerless"),
        ..DnsOptions::default()
    }
}

/// Starts Knot for a zone on 127.0.0.`last`.
pub(crate) async fn knot(port: &Port, last: u8, zone: &str, records: &str) -> Knot {
    Knot::start(serving(port.on(last), zone, records)).await.unwrap()
}

/// Starts BIND for a zone on 127.0.0.1 (it serves only addresses that an interface carries).
pub(crate) async fn bind(port: &Port, zone: &str, records: &str) -> Bind {
    Bind::start(serving(port.v4(), zone, records)).await.unwrap()
}
