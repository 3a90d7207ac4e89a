//! `check` on a real nginx and a real Knot, its text compared.

use std::net::SocketAddr;
use std::time::SystemTime;

use jiff::{SignedDuration, Timestamp};
use perennial::check::{CheckArgs, Form, Subject, run};
use perennial::view::Paint;
use perennial_peers::{
    Authority, DnsOptions, Knot, Minted, Nginx, NginxOptions, Port, Server, Zone,
};
use perennial_wire::clock::Clock;
use tempfile::TempDir;

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn at(days: i64) -> SystemTime {
    (now() + SignedDuration::from_hours(24 * days)).into()
}

/// A small world: three addresses of one name, two zones, a private CA.
struct World {
    files: TempDir,
    https: Port,
    http: Port,
    dns: Knot,
    _nginx: Nginx,
}

async fn world(records: &str) -> World {
    let files = tempfile::tempdir().unwrap();
    let (https, http) = (Port::free().unwrap(), Port::free().unwrap());
    let root = Authority::new("Test Root").unwrap();
    let middle = root.below("Test CA 1").unwrap();
    std::fs::write(files.path().join("root.pem"), root.pem()).unwrap();
    let write = |name: &str, leaf: &Minted| {
        let file = |kind| files.path().join(format!("{name}.{kind}"));
        std::fs::write(file("pem"), format!("{}{}", leaf.cert_pem, middle.pem())).unwrap();
        std::fs::write(file("key"), &leaf.key_pem).unwrap();
        (file("pem"), file("key"))
    };
    let names = ["shop.test", "www.shop.test"];
    let new = write("new", &middle.issue_between(&names, at(-30), at(60)).unwrap());
    let old = write("old", &middle.issue_between(&names, at(-87), at(3)).unwrap());
    let server = |tls: SocketAddr, pair: &(std::path::PathBuf, std::path::PathBuf)| {
        Server::named(&["shop.test"]).https(tls).cert(&pair.0, &pair.1)
    };
    let webroot = files.path().join("webroot");
    std::fs::create_dir(&webroot).unwrap();
    let servers = vec![
        server(https.on(1), &new).http(http.on(1)).webroot(&webroot),
        server(https.on(2), &old).http(http.on(2)).webroot(&webroot),
        server(https.v6(), &new),
    ];
    let nginx = Nginx::start(NginxOptions { servers, raw: String::new() }).await.unwrap();
    let zones = [
        Zone::new("test", "@ CAA 0 issue \"letsencrypt.org\"\n"),
        Zone::new("shop.test", records),
        Zone::new("fastly-validations.com", "abc TXT \"x\"\n"),
    ];
    let dns = Knot::start(DnsOptions::serving(zones)).await.unwrap();
    World { files, https, http, dns, _nginx: nginx }
}

impl World {
    fn args(&self, host: &str) -> CheckArgs {
        CheckArgs {
            hosts: vec![Subject::parse(&format!("{host}:{}", self.https.number())).unwrap()],
            resolver: Some(self.dns.addr()),
            connect: None,
            roots: Some(self.files.path().join("root.pem")),
            timeout: 5,
            http_port: self.http.number(),
            dns_port: self.dns.addr().port(),
        }
    }

    /// Returns the text with what differs from run to run made alike, and the exit code.
    async fn told(&self, args: CheckArgs) -> (String, u8) {
        self.told_in(Form::Text(Paint::Plain), &args).await
    }

    async fn told_in(&self, form: Form, args: &CheckArgs) -> (String, u8) {
        let mut out = Vec::new();
        let code = run(args, form, Clock::new(now), &mut out).await.unwrap().code();
        let roots = self.files.path().join("root.pem").display().to_string();
        let text = String::from_utf8(out).unwrap().replace(&roots, "root.pem");
        (text.replace(&format!(":{}", self.https.number()), ":PORT"), code)
    }
}

#[tokio::test]
async fn a_host_in_trouble_is_told_whole() {
    let world = world(
        "@ A 127.0.0.1\n@ A 127.0.0.2\n@ AAAA ::1\nwww CNAME @\n\
         _acme-challenge CNAME abc.fastly-validations.com.\n",
    )
    .await;
    let (text, code) = world.told(world.args("shop.test")).await;
    let head = text.lines().next().unwrap();
    assert!(head.starts_with("shop.test:PORT ") && head.ends_with(" runway 3 d"), "{head}");
    let rest = text.split_once('\n').unwrap().1;
    let expected = "  127.0.0.1       ok      shop.test, Test CA 1, until 2027-01-20 12:00 UTC
  127.0.0.2       WRONG   an older leaf, until 2026-11-24 (3 d): this address was not reloaded
  ::1             ok      the same leaf as 127.0.0.1
  chain           leads to a root in root.pem
  renewal         would fail by dns-01: `_acme-challenge.shop.test` is a CNAME to Fastly
                  (abc.fastly-validations.com), so only Fastly can answer
                  would fail by http-01 on port 80: connection refused at ::1; answers 404 at
                  127.0.0.1 and 127.0.0.2
  CAA             letsencrypt.org only, at test; Google Trust Services and ZeroSSL could not stand
                  in
  zone            shop.test, served by ns.shop.test

  target.not-reloaded: 127.0.0.2
    hint: install the newer leaf on the server at 127.0.0.2, and reload it

  dns.challenge-cname-foreign: _acme-challenge.shop.test
    hint: let Fastly issue, or remove the CNAME where somebody else renews:
          _acme-challenge.shop.test. CNAME abc.fastly-validations.com.

  http.addresses-differ: ::1
    hint: let port 80 answer alike on every address, or take ::1 out of DNS

3 findings
";
    assert_eq!(rest, expected, "\n{text}");
    assert_eq!(code, 1);
}

#[tokio::test]
async fn a_host_with_which_all_is_well_gives_zero() {
    let world = world("@ A 127.0.0.1\nwww CNAME @\n_acme-challenge TXT \"old\"\n").await;
    let (text, code) = world.told(world.args("shop.test")).await;
    let expected = "  127.0.0.1       ok      shop.test, Test CA 1, until 2027-01-20 12:00 UTC
  chain           leads to a root in root.pem
  renewal         by dns-01: `_acme-challenge.shop.test` belongs to zone shop.test; 1 TXT record
                  lies there now
                  by http-01: port 80 answers 404 at 127.0.0.1; no public CA can reach 127.0.0.1
  CAA             letsencrypt.org only, at test; Google Trust Services and ZeroSSL could not stand
                  in
  zone            shop.test, served by ns.shop.test

no findings
";
    assert_eq!(text.split_once('\n').unwrap().1, expected, "\n{text}");
    assert_eq!(code, 0);

    let (text, code) = world.told_in(Form::Json, &world.args("www.shop.test")).await;
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let host = &value["hosts"][0];
    assert_eq!((code, host["outcome"].as_str()), (0, Some("fine")));
    assert_eq!(host["aliases"][0], "shop.test");
    assert_eq!(host["zone"]["apex"], "shop.test");
    assert_eq!(host["caa"]["found_at"], "test");
    assert_eq!(host["addresses"][0]["tls"], "TLS 1.2", "what this nginx offers");
}

#[tokio::test]
async fn an_origin_is_looked_at_and_a_missing_name_could_not_be() {
    let world = world("@ A 127.0.0.1\n").await;
    let origin = Some("127.0.0.2".parse().unwrap());
    let (text, code) = world.told(CheckArgs { connect: origin, ..world.args("shop.test") }).await;
    assert!(
        text.contains("  127.0.0.2       ok      shop.test, Test CA 1, until 2026-11-24"),
        "{text}"
    );
    assert!(text.contains("leaf.not-renewed: 127.0.0.2"), "{text}");
    assert_eq!(code, 1);

    let (text, code) = world.told(world.args("none.shop.test")).await;
    let expected = "none.shop.test:PORT\n  address         the name does not exist in DNS\n\n\
                    no findings, nothing could be looked at\n";
    assert_eq!((text.as_str(), code), (expected, 3));

    let mut both = world.args("shop.test");
    both.hosts.push(Subject::parse("none.shop.test").unwrap());
    let (text, code) = world.told(both).await;
    assert!(text.ends_with("\n2 hosts, no findings, 1 could not be looked at\n"), "{text}");
    assert_eq!(code, 3);
}
