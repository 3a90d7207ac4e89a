//! Addresses instead of names: proven by http-01 and by tls-alpn-01, served and seen without a server
//! name (RFC 8738).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use perennial::check::{CheckArgs, Form, Subject};
use perennial::clock::Time;
use perennial::view::Paint;
use perennial_core::words::Identifier;

use crate::running::Running;
use crate::world::{Plan, World, any_name};

/// The same two addresses by both challenges; what nginx serves is the first one's.
const BY_BOTH: &str = r#"
[solver.http]
http-01 = "listener"
listen = ["127.0.0.1:@HTTP@", "[::1]:@HTTP@"]
[solver.tls]
tls-alpn-01 = "listener"
listen = ["127.0.0.1:@ALPN@", "[::1]:@ALPN@"]
[certificate.served]
names = ["127.0.0.1", "::1"]
solvers = ["http"]
targets = ["web"]
endpoints = ["127.0.0.1:@HTTPS@", "[::1]:@HTTPS@"]
[certificate.other]
names = ["127.0.0.1", "::1"]
solvers = ["tls"]
endpoints = []
"#;

#[tokio::test(flavor = "multi_thread")]
async fn addresses_of_both_families_are_proven_deployed_seen_and_checked() {
    let dns = any_name().await;
    let mut plan = Plan::new(dns.addr(), &["127.0.0.1"]);
    plan.addresses = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    // Each certificate is to be validated by itself.
    plan.pebble.authz_reuse_percent = 0;
    let world = World::of(plan).await;
    let mut daemon = Running::start(&world.write(BY_BOTH)).await;
    let mut names: Vec<IpAddr> = Vec::new();
    for certificate in ["served", "other"] {
        let leaf = daemon.until_seen(certificate, 1).await;
        assert!(leaf.identifiers.iter().all(Identifier::is_ip), "{leaf:?}");
        names = leaf.identifiers.iter().map(|name| name.as_str().parse().unwrap()).collect();
        names.sort();
        assert_eq!(names, [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()]);
    }
    daemon.until_idle().await;
    daemon.stop().await;

    for ip in names {
        let at = std::net::SocketAddr::new(ip, world.https.number()).to_string();
        let args = CheckArgs {
            hosts: vec![Subject::parse(&at).unwrap()],
            resolver: Some(dns.addr()),
            connect: None,
            roots: Some(world.path("roots.pem")),
            timeout: 60,
            http_port: world.http.number(),
            dns_port: dns.addr().port(),
        };
        let (mut out, clock) = (Vec::new(), Time::real().logical());
        let form = Form::Text(Paint::Plain);
        let code = perennial::check::run(&args, form, clock, &mut out).await.unwrap().code();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.lines().any(|line| line.trim_start().starts_with(&format!("{ip} "))),
            "{text}"
        );
        assert!(text.contains(" ok "), "{text}");
        assert!(text.contains("not by dns-01"), "{text}");
        assert!(code <= 1, "{text}");
    }
}
