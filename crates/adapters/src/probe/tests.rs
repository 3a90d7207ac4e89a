use perennial_core::words::{Blame, FailureKind, Protocol, Variant};

use super::*;

fn endpoint(connect_to: Option<&str>) -> EndpointSpec {
    EndpointSpec {
        server_name: Identifier::new("shop.test").unwrap(),
        connect_to: connect_to.map(Into::into),
        port: 443,
        serves: perennial_core::intent::Serves::Ours,
        protocol: perennial_core::words::Protocol::Tls,
        variant: None,
        shared: false,
    }
}

fn timeout() -> DnsError {
    DnsError::Timeout { server: "192.0.2.53:53".parse().unwrap(), timeout_ms: 3000 }
}

#[test]
fn every_trouble_is_blamed_on_one_thing() {
    let code = DnsError::Code {
        server: "192.0.2.53:53".parse().unwrap(),
        code: "SERVFAIL",
        kind: "A".into(),
        name: "shop.test".into(),
        detail: None,
    };
    let theirs = || Blame::Endpoint("shop.test:443".into());
    let cases = [
        (Trouble::NotMine, FailureKind::Refused, Blame::Ourselves),
        (Trouble::Wildcard, FailureKind::Refused, Blame::Ourselves),
        (Trouble::NoAddress("shop.test".into()), FailureKind::Refused, theirs()),
        (Trouble::Dns(timeout()), FailureKind::Transient, Blame::Ourselves),
        (Trouble::Dns(code), FailureKind::Transient, theirs()),
        (Trouble::Dns(DnsError::Name("..".into())), FailureKind::Refused, theirs()),
    ];
    for (trouble, kind, blame) in cases {
        let failed = failure(&format!("look at {}", endpoint(None)), &trouble);
        assert_eq!((failed.kind, failed.blame), (kind, blame), "{trouble:?}");
    }
}

#[test]
fn one_family_that_cannot_be_looked_up_does_not_hide_the_other() {
    let at = |ip| SocketAddr::new(ip, 443);
    let one: IpAddr = "192.0.2.1".parse().unwrap();
    let joined = found("shop.test", [Ok(vec![one]), Err(timeout())], at).unwrap();
    assert_eq!(joined.addresses, [at(one)]);
    let problem =
        "AAAA records could not be looked up: 192.0.2.53:53 did not answer within 3000 ms";
    assert_eq!(joined.problem.as_deref(), Some(problem));
    // Nothing found and one family unknown: there may be addresses.
    let unknown = found("shop.test", [Ok(vec![]), Err(timeout())], at);
    assert_eq!(unknown, Err(Trouble::Dns(timeout())));
    let none = found("shop.test", [Ok(vec![]), Ok(vec![])], at);
    assert_eq!(none, Err(Trouble::NoAddress("shop.test".into())));
    let many = (0..=255).map(|n| IpAddr::from([192, 0, 2, n])).collect();
    let bounded = found("shop.test", [Ok(many), Ok(vec![])], at).unwrap();
    assert_eq!(bounded.addresses.len(), MAX_ADDRESSES);
}

#[test]
fn an_endpoint_is_named_with_where_it_is_looked_at() {
    assert_eq!(endpoint(None).to_string(), "shop.test:443");
    assert_eq!(endpoint(Some("origin.test")).to_string(), "shop.test:443 at origin.test");
    let by = |protocol, port| EndpointSpec { protocol, port, ..endpoint(None) }.to_string();
    assert_eq!(by(Protocol::Smtp, 25), "shop.test:25");
    assert_eq!(by(Protocol::Smtp, 2525), "smtp://shop.test:2525");
    assert_eq!(by(Protocol::Tls, 25), "tls://shop.test:25");
    let of_one = EndpointSpec { variant: Some(Variant::Rsa), ..endpoint(None) };
    assert_eq!(of_one.to_string(), "shop.test:443 (RSA)");
}
