//! A leaf that its CA revokes, found on the CA's list, replaced, and seen to be.

use jiff::{SignedDuration, Timestamp};
use perennial::check::{CheckArgs, Form, Subject, run};
use perennial::view::Paint;
use perennial_core::finding::Code;
use perennial_core::state::Lasting;
use perennial_core::words::{AriCertId, SightState};
use perennial_peers::Port;
use perennial_sandbox::{HostSetup, Sandbox, SandboxConfig};
use perennial_wire::clock::Clock;
use tempfile::TempDir;

use crate::running::{Running, configure};

#[expect(clippy::disallowed_methods, reason = "the sandbox may run on the machine's clock")]
fn clock() -> Clock {
    Clock::new(Timestamp::now)
}

struct World {
    sandbox: Sandbox,
    folder: TempDir,
}

impl World {
    /// Starts a CA whose lists count for a second, and a host for `www.shop.test`.
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let http = Port::free().unwrap();
        let mut config = SandboxConfig::new(clock(), clock());
        config.cas[0].http_port = http.number();
        config.cas[0].lists_last = SignedDuration::from_secs(1);
        config.hosts = vec![HostSetup {
            name: "www".to_owned(),
            addresses: vec![[127, 0, 0, 1].into()],
            port: 0,
            chain: path("live/www/current/fullchain.pem"),
            key: path("live/www/current/privkey.pem"),
            trigger: Some(path("trigger")),
        }];
        std::fs::write(path("trigger"), "").unwrap();
        let sandbox = Sandbox::start(config).await.unwrap();
        sandbox.add_zone("shop.test", &[[127, 0, 0, 1].into()]);
        let ca = &sandbox.cas[0];
        std::fs::write(path("roots.pem"), format!("{}{}", ca.api_root_pem(), ca.root_pem()))
            .unwrap();
        let text = format!(
            r#"
contact = "ops@shop.test"
agree_terms = true
[store]
dir = "store"
[resolver]
servers = ["{resolver}"]
[issuer.sandbox]
directory = "{directory}"
roots = "roots.pem"
kind = "private"
[solver.http]
http-01 = "listener"
listen = ["127.0.0.1:{http}"]
[target.www]
files = "{dir}/live"
reload = ["touch", "{dir}/trigger"]
[certificate.www]
names = ["www.shop.test"]
targets = ["www"]
endpoints = ["www.shop.test:{port}"]
"#,
            resolver = sandbox.dns.resolver(),
            directory = ca.directory(),
            http = http.number(),
            dir = folder.path().display(),
            port = sandbox.hosts[0].addresses()[0].port(),
        );
        configure(folder.path(), &text);
        Self { sandbox, folder }
    }

    fn config(&self) -> std::path::PathBuf {
        self.folder.path().join("perennial.toml")
    }

    fn revoke(&self, leaf: &AriCertId) {
        self.sandbox.cas[0].with(|ca| {
            let is_it = |issued: &perennial_sandbox::model::ca::IssuedLeaf| {
                issued.facts().ari_id.as_ref() == Some(leaf)
            };
            let found = ca.issued_leaves().find(|(issued, _)| is_it(issued));
            let serial = found.unwrap().0.serial;
            ca.revoke_leaf(&serial);
        });
    }

    /// Returns what `check` says of the host.
    async fn check(&self) -> String {
        let host = self.sandbox.hosts[0].addresses()[0];
        let args = CheckArgs {
            hosts: vec![Subject::parse(&format!("www.shop.test:{}", host.port())).unwrap()],
            resolver: Some(self.sandbox.dns.resolver()),
            roots: Some(self.folder.path().join("roots.pem")),
            connect: None,
            timeout: 5,
            http_port: host.port(),
            dns_port: self.sandbox.dns.resolver().port(),
        };
        let mut text = Vec::new();
        run(&args, Form::Text(Paint::Plain), clock(), &mut text).await.unwrap();
        String::from_utf8(text).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaf_that_its_ca_revoked_is_shown_replaced_at_once_and_the_next_one_seen() {
    let world = World::start().await;
    let mut daemon = Running::start(&world.config()).await;
    let first = daemon.until_seen("www", 1).await;
    daemon.until_idle().await;
    daemon.stop().await;
    assert!(!world.check().await.contains("revoked"), "{}", world.check().await);
    // Where renewal information is down, the list alone says it.
    world.sandbox.cas[0].with(|ca| ca.faults.renewal_info_down = true);
    world.revoke(first.ari_id.as_ref().unwrap());
    let told = world.check().await;
    assert!(told.contains("WRONG   revoked since 20"), "{told}");
    assert!(told.contains("endpoint.revoked"), "{told}");
    let mut daemon = Running::start(&world.config()).await;
    let second = daemon.until_seen("www", 2).await;
    assert_ne!(first.key, second.key);
    assert_eq!(daemon.count("endpoint.seen", "\"revoked\""), 1, "{}", daemon.journal());
    assert_eq!(daemon.count("attempt.began", "\"reason\":\"revoked\""), 1);
    assert_eq!(daemon.count("incident.opened", "endpoint.revoked"), 1);
    daemon.until_gone(Code::EndpointRevoked).await;
    assert_eq!(daemon.orders(), 1);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_cannot_be_had_changes_nothing_and_is_told() {
    let world = World::start().await;
    let mut daemon = Running::start(&world.config()).await;
    daemon.until_seen("www", 1).await;
    daemon.stop().await;
    world.sandbox.cas[0].show_lists(false);
    let told = world.check().await;
    assert!(told.contains("ok") && !told.contains("WRONG"), "{told}");
    // Wherever its lines are broken.
    let words = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("whether it is revoked could not be looked at"), "{told}");
    let mut daemon = Running::start(&world.config()).await;
    daemon.until_idle().await;
    let shown = daemon.until("a look without the list", |driver, _| {
        let (_, _, certificate) = driver.state().certificates().next()?;
        let shown = certificate.endpoints[0].shown.clone().ok()?;
        let mut doubts = shown.iter().map(|address| address.doubts.as_ref());
        let is_told =
            |doubts: &Lasting| doubts.revocation.is_some() && doubts.refused_by.is_empty();
        doubts.all(|doubts| doubts.is_some_and(|doubts| is_told(doubts))).then_some(shown)
    });
    assert!(shown.await.iter().all(|address| address.state == SightState::Ok));
    assert_eq!(daemon.orders(), 0);
    daemon.stop().await;
}
