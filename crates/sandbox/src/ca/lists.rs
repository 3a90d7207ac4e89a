//! The list of revoked leaves, made anew whenever somebody asks.
//!
//! The model knows which leaves are revoked and not since when: that is when the list first had
//! them.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use jiff::Timestamp;
use perennial_core::words::after;
use perennial_sim::model::ca::Serial;
use tokio::net::TcpListener;

use super::Shared;
use crate::door::Door;
use crate::http::{Answer, answer, speak, text};

const PATH: &str = "/1.crl";

/// Returns where the list is, as leaves say it.
pub(super) fn url(address: SocketAddr) -> String {
    format!("http://{address}{PATH}")
}

/// Serves the list in the clear.
pub(super) fn door(listener: TcpListener, address: SocketAddr, shared: &Arc<Shared>) -> Door {
    let shared = Arc::clone(shared);
    Door::new(listener, address, move |stream| {
        let shared = Arc::clone(&shared);
        async move {
            speak(stream, |request| std::future::ready(Some(respond(&shared, &request)))).await;
        }
    })
}

fn respond(shared: &Shared, request: &Request<Bytes>) -> Answer {
    if request.method() != Method::GET || request.uri().path() != PATH {
        return text(StatusCode::NOT_FOUND, "not found\n");
    }
    let now = shared.clock.now();
    let listed = listed(shared, now);
    match shared.authority.list(&listed, now, after(now, shared.lists_last)) {
        Ok(list) => answer(StatusCode::OK, "application/pkix-crl", list),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn listed(shared: &Shared, now: Timestamp) -> Vec<(Serial, Timestamp)> {
    let mut state = shared.state();
    let state = &mut *state;
    let revoked = state.ca.issued_leaves().filter(|(_, is_revoked)| *is_revoked);
    let entry = |(leaf, _): (&perennial_sim::model::ca::IssuedLeaf, bool)| {
        (leaf.serial, *state.listed.entry(leaf.serial).or_insert(now))
    };
    revoked.map(entry).collect()
}
