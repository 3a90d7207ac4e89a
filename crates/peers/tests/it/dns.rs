//! BIND and Knot.

use perennial_peers::{Bind, DnsOptions, Knot, Port, TsigKey, Zone, resolve};

/// A parent, a child delegated to the same server, and an alias from one zone into another.
fn zones() -> [Zone; 3] {
    [
        Zone::new(
            "shop.test",
            "@ A 127.0.0.1\nwww A 127.0.0.2\n_acme-challenge CNAME shop.acme.test.\neu NS ns",
        ),
        Zone::new("eu.shop.test", "@ A 127.0.0.3"),
        Zone::new("acme.test", "shop TXT \"proof\""),
    ]
}

#[tokio::test]
async fn bind_as_an_authority_serves_parent_and_child_and_refuses_the_rest() {
    let bind = Bind::start(DnsOptions::serving(zones())).await.unwrap();
    assert_eq!(bind.look("www.shop.test", "A").await.unwrap(), ["127.0.0.2"]);
    assert_eq!(bind.look("eu.shop.test", "A").await.unwrap(), ["127.0.0.3"]);
    let alias = bind.look("_acme-challenge.shop.test", "TXT").await.unwrap();
    assert_eq!(alias, ["shop.acme.test."]);
    assert!(bind.look("example.org", "A").await.unwrap().is_empty());
}

#[tokio::test]
async fn bind_as_a_resolver_follows_an_alias_into_another_zone() {
    let bind = Bind::start(DnsOptions::serving(zones())).await.unwrap();
    let proof = async || resolve(bind.addr(), "_acme-challenge.shop.test", "TXT").await.unwrap();
    assert_eq!(proof().await, ["\"proof\"", "shop.acme.test."]);
    bind.update("acme.test", "update add shop.acme.test 1 TXT \"more\"").await.unwrap();
    assert_eq!(proof().await, ["\"more\"", "\"proof\"", "shop.acme.test."]);
}

#[tokio::test]
async fn bind_takes_signed_updates_and_refuses_others() {
    let bind = Bind::start(DnsOptions::serving(zones())).await.unwrap();
    bind.update("shop.test", "update add _acme-challenge.www 1 TXT \"proof\"").await.unwrap_err();
    let add = "update add _acme-challenge.www.shop.test 1 TXT \"proof\"";
    bind.update("shop.test", add).await.unwrap();
    let name = "_acme-challenge.www.shop.test";
    assert_eq!(bind.look(name, "TXT").await.unwrap(), ["\"proof\""]);
    bind.update("shop.test", &format!("update delete {name} TXT")).await.unwrap();
    assert!(bind.look(name, "TXT").await.unwrap().is_empty());
    assert!(!bind.look("shop.test", "AXFR").await.unwrap().is_empty());
}

#[tokio::test]
async fn knot_takes_signed_updates_on_any_loopback_address() {
    let port = Port::free().unwrap();
    let knot = Knot::start(DnsOptions::serving(zones()).at(port.on(53))).await.unwrap();
    assert_eq!(knot.addr().ip().to_string(), "127.0.0.53");
    assert_eq!(knot.look("eu.shop.test", "A").await.unwrap(), ["127.0.0.3"]);
    let name = "_acme-challenge.www.shop.test";
    knot.update("shop.test", &format!("update add {name} 1 TXT \"proof\"")).await.unwrap();
    assert_eq!(knot.look(name, "TXT").await.unwrap(), ["\"proof\""]);
    knot.update("shop.test", &format!("update delete {name} TXT")).await.unwrap();
    assert!(knot.look(name, "TXT").await.unwrap().is_empty());
    assert!(!knot.look("shop.test", "AXFR").await.unwrap().is_empty());
}

#[tokio::test]
async fn knot_refuses_updates_without_its_key() {
    let mut options = DnsOptions::serving(zones());
    options.tsig = None;
    let knot = Knot::start(options).await.unwrap();
    let refused = knot.update("shop.test", "update add x.shop.test 1 A 127.0.0.1").await;
    assert!(refused.unwrap_err().to_string().contains("updating shop.test"));
    assert_ne!(Some(&TsigKey::known()), knot.tsig());
}

#[tokio::test]
async fn bind_resolves_zones_of_other_servers_and_nothing_else() {
    let knot = Knot::start(DnsOptions::serving(zones())).await.unwrap();
    let view = DnsOptions::default()
        .forwarding("shop.test", knot.addr())
        .forwarding("acme.test", knot.addr());
    let bind = Bind::start(view).await.unwrap();
    let ask = async |name: &str, kind: &str| resolve(bind.addr(), name, kind).await.unwrap();
    assert_eq!(ask("www.shop.test", "A").await, ["127.0.0.2"]);
    assert_eq!(ask("_acme-challenge.shop.test", "TXT").await, ["\"proof\"", "shop.acme.test."]);
    assert!(ask("example.org", "A").await.is_empty());
}
