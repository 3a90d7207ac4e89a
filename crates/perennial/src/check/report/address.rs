//! What each address serves, and whether they agree.

use std::net::IpAddr;

use jiff::Timestamp;
use perennial_adapters::discover::{AddressFacts, Facts};
use perennial_core::finding::Code;
use perennial_core::words::{Identifier, LeafFacts, SightState};
use perennial_wire::tls::TlsVersion;

use super::{Mark, Paper, Row, list, moment, span};

pub(super) fn judge(facts: &Facts, paper: &mut Paper) {
    let newest = newest(facts);
    let mut shown: Vec<(IpAddr, &LeafFacts)> = Vec::new();
    for seen in &facts.addresses {
        let (mark, text) = one(facts, seen, newest, &shown, paper);
        paper.rows.push(Row { label: seen.address.ip().to_string(), mark, text });
        shown.extend(seen.leaf.as_ref().map(|leaf| (seen.address.ip(), leaf)));
    }
    for problem in &facts.address_problems {
        paper.row("addresses", format!("perhaps not all: {problem}"));
    }
    if let [first, ..] = facts.aliases.as_slice() {
        let end = facts.aliases.last().unwrap_or(first);
        let whose = perennial_adapters::discover::operator_of(end);
        let whose = whose.map(|operator| format!(" ({})", operator.name)).unwrap_or_default();
        paper.row("alias", format!("of {end}{whose}"));
    }
    stores(facts, paper);
}

/// The leaf that was issued last among those that are fine.
fn newest(facts: &Facts) -> Option<&LeafFacts> {
    let fine = facts.addresses.iter().filter(|seen| seen.state == SightState::Ok);
    fine.filter_map(|seen| seen.leaf.as_ref()).max_by_key(|leaf| leaf.validity.not_before)
}

fn one(
    facts: &Facts,
    seen: &AddressFacts,
    newest: Option<&LeafFacts>,
    shown: &[(IpAddr, &LeafFacts)],
    paper: &mut Paper,
) -> (Mark, String) {
    let address = seen.address.ip().to_string();
    if seen.state != SightState::Ok {
        return broken(seen, &address, paper);
    }
    let Some(leaf) = &seen.leaf else { return (Mark::Unseen, "no leaf was seen".to_owned()) };
    let mut notes = Vec::new();
    if seen.asks_for_client_certificate {
        notes.push("asks for a client certificate".to_owned());
    }
    if let Some(cause) = &seen.cause {
        notes.push(cause.clone());
    }
    if seen.version.is_some_and(|version| version < TlsVersion::TLS_1_2) {
        let advice = format!("enable TLS 1.2 and 1.3 on the server at {address}");
        paper.find("tls.obsolete", &address, seen.cause.as_deref().unwrap_or_default(), advice);
    }
    let (mark, text) = match newest.filter(|newest| is_left_behind(leaf, newest, facts.at)) {
        Some(_) => left_behind(facts, &address, leaf, paper),
        None => fine(facts, &address, leaf, newest, shown, paper),
    };
    let notes: String = notes.iter().map(|note| format!("; {note}")).collect();
    (mark, format!("{text}{notes}"))
}

/// An older leaf in the last third of its life while another address has a newer one: this address
/// was forgotten. Before that, servers may well have leaves of their own.
fn is_left_behind(leaf: &LeafFacts, newest: &LeafFacts, at: Timestamp) -> bool {
    leaf.fingerprint != newest.fingerprint
        && leaf.validity.not_before < newest.validity.not_before
        && at >= leaf.validity.elapsed_at(66)
}

fn left_behind(
    facts: &Facts,
    address: &str,
    leaf: &LeafFacts,
    paper: &mut Paper,
) -> (Mark, String) {
    let left = span(leaf.ends_at().duration_since(facts.at));
    let until = leaf.ends_at().strftime("%Y-%m-%d");
    let text = format!("an older leaf, until {until} ({left}): this address was not reloaded");
    let advice = format!("install the newer leaf on the server at {address}, and reload it");
    paper.find(Code::TargetNotReloaded.as_str(), address, &text, advice);
    (Mark::Wrong, text)
}

fn fine(
    facts: &Facts,
    address: &str,
    leaf: &LeafFacts,
    newest: Option<&LeafFacts>,
    shown: &[(IpAddr, &LeafFacts)],
    paper: &mut Paper,
) -> (Mark, String) {
    let before = shown.iter().position(|(_, own)| own.fingerprint == leaf.fingerprint);
    if let Some((ip, _)) = before.and_then(|at| shown.get(at)) {
        let last = shown.last().is_some_and(|(_, own)| own.fingerprint == leaf.fingerprint);
        let which = if last { String::new() } else { format!(" as {ip}") };
        return (Mark::Fine, format!("the same leaf{which}"));
    }
    // Nobody should let more than four fifths of a leaf's life go by.
    if facts.at >= leaf.validity.elapsed_at(80) {
        let left = span(leaf.ends_at().duration_since(facts.at));
        let evidence = format!("{left} left: more than four fifths of the leaf's life are gone");
        let advice = "find out who renews it, and why that has not happened yet".to_owned();
        paper.find("leaf.not-renewed", address, &evidence, advice);
    }
    let other = newest.is_some_and(|newest| newest.fingerprint != leaf.fingerprint);
    let other = if other && !shown.is_empty() { "another leaf: " } else { "" };
    (Mark::Fine, format!("{other}{}", describe(leaf, &facts.host)))
}

/// `*.example.org, Let's Encrypt YE1, until 2026-12-14 09:12 UTC`.
fn describe(leaf: &LeafFacts, host: &Identifier) -> String {
    let covering = leaf.identifiers.iter().find(|own| own.covers(host));
    let name = covering.map_or_else(|| "no name".to_owned(), ToString::to_string);
    let chain =
        if leaf.chain_not_after < leaf.validity.not_after { " (the chain ends first)" } else { "" };
    format!("{name}, {}, until {}{chain}", leaf.issued_by, moment(leaf.ends_at()))
}

fn broken(seen: &AddressFacts, address: &str, paper: &mut Paper) -> (Mark, String) {
    let cause = seen.cause.clone().unwrap_or_else(|| "no cause is known".to_owned());
    let code = match seen.state {
        SightState::Ok | SightState::CannotLook => {
            return (Mark::Unseen, format!("cannot look: {cause}"));
        }
        SightState::ClientCertificateDemanded => {
            let leaf = seen.leaf.as_ref();
            let until = leaf.map(|leaf| format!(", until {}", moment(leaf.ends_at())));
            return (Mark::Fine, format!("{cause}{}", until.unwrap_or_default()));
        }
        SightState::Expired => Code::EndpointExpired,
        SightState::NotYetValid => Code::EndpointNotYetValid,
        SightState::NameMismatch => Code::EndpointNameMismatch,
        SightState::Untrusted => Code::EndpointUntrusted,
        SightState::IncompleteChain => Code::EndpointIncompleteChain,
        SightState::Revoked => Code::EndpointRevoked,
        SightState::Unreachable => Code::EndpointUnreachable,
        SightState::NoTls => Code::EndpointNoTls,
    };
    paper.find(code.as_str(), address, &cause, advice(seen.state, address));
    (Mark::Wrong, cause)
}

/// What to do about an address, without a configuration to refer to.
fn advice(state: SightState, address: &str) -> String {
    match state {
        SightState::Expired | SightState::Revoked => {
            format!("renew the leaf, install it on the server at {address}, and reload it")
        }
        SightState::NotYetValid => format!("compare the clocks of this machine and of {address}"),
        SightState::NameMismatch => {
            format!("see which virtual host answers for this name on the server at {address}")
        }
        SightState::Untrusted => {
            "install a leaf of a public CA; of a private one, give its roots: --roots FILE"
                .to_owned()
        }
        SightState::IncompleteChain => {
            format!("let the server at {address} send the full chain: fullchain.pem, not cert.pem")
        }
        SightState::Unreachable => {
            format!("check that {address} is still the name's, and that the port is open")
        }
        SightState::NoTls
        | SightState::Ok
        | SightState::ClientCertificateDemanded
        | SightState::CannotLook => {
            format!("check the port, and the configuration of the server at {address}")
        }
    }
}

/// What clients of each store make of the chain.
fn stores(facts: &Facts, paper: &mut Paper) {
    let (mut fine, mut wrong) = (Vec::new(), Vec::new());
    for seen in &facts.stores {
        match seen.state {
            SightState::Untrusted | SightState::IncompleteChain => wrong.push(seen.store.as_str()),
            // Whatever the chain may lead to: the name came first.
            SightState::NameMismatch => {}
            _ => fine.push(seen.store.as_str()),
        }
    }
    let text = match (fine.is_empty(), wrong.is_empty()) {
        (true, true) => return,
        (false, true) => format!("leads to a root in {}", list(&fine)),
        (true, false) => format!("leads to no root in {}", list(&wrong)),
        (false, false) => {
            format!("leads to a root in {}, and to none in {}", list(&fine), list(&wrong))
        }
    };
    paper.row("chain", text);
}
