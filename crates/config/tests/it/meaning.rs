//! What a file comes to mean: defaults, order, names.

use std::path::PathBuf;

use jiff::SignedDuration;
use perennial_config::{
    HostPort, Loaded, Secret, SolverSettings, Source, TargetRecipe, TsigAlgorithm, render,
    understand,
};
use perennial_core::intent::{CertificateSpec, EndpointSpec, IssuerKind, KeyRotation, Serves};
use perennial_core::words::{ChallengeKind, Identifier, KeyAlgorithm, Name, Protocol};

fn meaning(text: &str) -> Loaded {
    let source = Source {
        name: String::from("perennial.toml"),
        folder: PathBuf::from("/etc/perennial"),
        text: String::from(text),
    };
    understand(&[source]).unwrap_or_else(|messages| panic!("{}", render(&messages)))
}

fn id(text: &str) -> Identifier {
    Identifier::new(text).unwrap()
}

#[test]
fn the_smallest_file_needs_seven_lines() {
    let loaded = meaning(
        r#"
        agree_terms = true
        [issuer.letsencrypt]
        [solver.http]
        http-01 = "listener"
        [target.web]
        nginx = "/etc/nginx"
        [certificate.www]
        names = "www.example.org"
        targets = "web"
        "#,
    );
    assert_eq!(render(&loaded.warnings), "");
    let issuer = &loaded.intent.issuers[&Name::new("letsencrypt")];
    assert_eq!(&*issuer.directory, "https://acme-v02.api.letsencrypt.org/directory");
    assert_eq!(issuer.kind, IssuerKind::Public);
    assert!(issuer.agreed && !issuer.eab);
    let www = &loaded.intent.certificates[&Name::new("www")];
    assert_eq!(*www.issuers, [Name::new("letsencrypt")]);
    assert_eq!(*www.solvers, [Name::new("http")]);
    assert_eq!((www.key, www.rotation), (KeyAlgorithm::EcdsaP256, KeyRotation::Rotate));
    assert!(!www.key_chosen && www.pins.is_empty());
    let expected = EndpointSpec {
        server_name: id("www.example.org"),
        connect_to: None,
        port: 443,
        serves: Serves::Ours,
        protocol: Protocol::Tls,
        variant: None,
        shared: false,
    };
    assert_eq!(*www.endpoints, [expected]);
    let listen: Vec<String> =
        loaded.settings.http01_listen().iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["0.0.0.0:80", "[::]:80"]);
    let web = &loaded.settings.targets[&Name::new("web")];
    assert_eq!(web.dir, PathBuf::from("/etc/nginx/perennial"));
    assert_eq!(loaded.settings.store.dir, PathBuf::from("/var/lib/perennial"));
    assert_eq!(loaded.settings.control_socket, PathBuf::from("/var/lib/perennial/control.sock"));
}

const FULL: &str = r#"
contact = ["ops@example.org", "mailto:sec@example.org"]

[issuer.mine]
directory = "https://ca.example.org:14000/dir"
roots = "ca.pem"
profile = "shortlived"
account_key = "ed25519"
eab = { kid = "kid-1", key = { command = ["pass", "show", "eab"] } }

[solver.ns]
dns-01 = "rfc2136"
server = "[2001:db8::53]:5353"
tsig = { name = "Perennial.", key = "env:TSIG_KEY", algorithm = "hmac-sha512" }
zones = ["Example.org.", "bücher.example"]
ttl = "30s"
nameservers = ["192.0.2.53", "192.0.2.54:5353"]
visible_within = "5m"

[target.mail]
files = "/etc/mail/perennial"
fullchain = "/etc/mail/{certificate}.pem"
key = "/etc/mail/{certificate}.key"
owner = "root"
group = "mail"
mode = "0640"
validate = ["postfix", "check"]
reload = ["postfix", "reload"]
take_over = true
settle = "2m"
serves_at = ["192.0.2.10", "[2001:DB8::10]:465", "imap1.bücher.example", "mx.example.org:25"]

[certificate.mail]
names = ["smtp.example.org", "*.bücher.example", "imap.example.org"]
targets = ["mail"]
endpoints = [
  "smtp.example.org:465",
  { name = "a.bücher.example", connect_to = "192.0.2.10", port = 8443 },
  { name = "imap.example.org", serves = "foreign" },
  { name = "smtp.example.org", connect_to = "mx.example.org", port = 25 },
  { name = "imap.example.org", connect_to = "imap1.bücher.example" },
  "imap://imap.example.org",
  "smtp.example.org:2525",
  { name = "smtp.example.org", protocol = "smtp", port = 2525 },
  { name = "imap.example.org", protocol = "pop3" },
  "tls://smtp.example.org:25",
]
key = "rsa-2048"
rotation = "reuse"
pins = ["sha256/d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM="]
renew_before = "20d"
owner = "platform"
was = "post"
"#;

#[test]
fn every_key_of_intent_means_what_it_says() {
    let intent = meaning(FULL).intent;
    let issuer = &intent.issuers[&Name::new("mine")];
    assert_eq!(issuer.kind, IssuerKind::Private, "roots of its own make a CA private");
    assert!(issuer.eab && !issuer.agreed);
    assert_eq!(issuer.account_key, KeyAlgorithm::Ed25519);
    let contact: Vec<&str> = issuer.contact.iter().map(|url| &**url).collect();
    assert_eq!(contact, ["mailto:ops@example.org", "mailto:sec@example.org"]);
    let solver = &intent.solvers[&Name::new("ns")];
    assert_eq!((&solver.kind, solver.follows_cname), (&ChallengeKind::Dns01, true));
    let zones: Vec<&str> = solver.zones.iter().map(|zone| &**zone).collect();
    assert_eq!(zones, ["example.org", "xn--bcher-kva.example"]);
    assert_eq!(solver.visible_within, SignedDuration::from_secs(300));
    let target = &intent.targets[&Name::new("mail")];
    assert!(target.take_over && target.validates);
    assert_eq!(target.settle, SignedDuration::from_secs(120));
    let sites: Vec<String> = target.serves_at.iter().map(ToString::to_string).collect();
    let (v6, idn) = ("[2001:db8::10]:465", "imap1.xn--bcher-kva.example");
    assert_eq!(sites, ["192.0.2.10", v6, idn, "mx.example.org:25"]);
    let mail = &intent.certificates[&Name::new("mail")];
    let names: Vec<&str> = mail.identifiers.iter().map(Identifier::as_str).collect();
    assert_eq!(names, ["*.xn--bcher-kva.example", "imap.example.org", "smtp.example.org"]);
    assert_eq!(
        mail.pins.iter().map(perennial_core::words::KeyId::pin).collect::<Vec<_>>(),
        ["sha256/d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM="]
    );
    assert!(mail.key_chosen);
    assert_eq!((mail.key, mail.rotation), (KeyAlgorithm::Rsa2048, KeyRotation::Reuse));
    assert_eq!(mail.renew_before, Some(SignedDuration::from_hours(20 * 24)));
    assert_eq!(mail.owner, Some(Name::new("platform")));
    assert_eq!(mail.was, Some(Name::new("post")));
    let seen: Vec<String> = mail
        .endpoints
        .iter()
        .map(|e| {
            let by = e.protocol.as_str();
            format!("{} {:?} {} {:?} {by}", e.server_name, e.connect_to, e.port, e.serves)
        })
        .collect();
    let expected = [
        "smtp.example.org None 465 Ours tls",
        "a.xn--bcher-kva.example Some(\"192.0.2.10\") 8443 Ours tls",
        "imap.example.org None 443 Foreign tls",
        "smtp.example.org Some(\"mx.example.org\") 25 Ours smtp",
        "imap.example.org Some(\"imap1.xn--bcher-kva.example\") 443 Ours tls",
        "imap.example.org None 143 Ours imap",
        "smtp.example.org None 2525 Ours tls",
        "smtp.example.org None 2525 Ours smtp",
        "imap.example.org None 110 Ours pop3",
        "smtp.example.org None 25 Ours tls",
    ];
    assert_eq!(seen, expected);
}

#[test]
fn every_key_of_settings_means_what_it_says() {
    let settings = meaning(FULL).settings;
    let issuer = &settings.issuers[&Name::new("mine")];
    assert_eq!(issuer.roots, Some(PathBuf::from("/etc/perennial/ca.pem")));
    let eab = issuer.eab.as_ref().unwrap();
    assert_eq!(eab.kid.text().unwrap().as_str(), "kid-1");
    let argv = ["pass", "show", "eab"].map(String::from);
    assert_eq!(eab.key, Secret::Command(argv.to_vec()));
    let SolverSettings::Rfc2136(ns) = &settings.solvers[&Name::new("ns")] else { panic!() };
    assert_eq!(ns.server, HostPort { host: String::from("2001:db8::53"), port: 5353 });
    let tsig = ns.tsig.as_ref().unwrap();
    assert_eq!((tsig.name.as_str(), tsig.algorithm), ("perennial", TsigAlgorithm::HmacSha512));
    assert_eq!(tsig.key, Secret::Env(String::from("TSIG_KEY")));
    assert_eq!(ns.ttl, SignedDuration::from_secs(30));
    let servers: Vec<String> = ns.nameservers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["192.0.2.53:53", "192.0.2.54:5353"]);
    let target = &settings.targets[&Name::new("mail")];
    assert_eq!(target.dir, PathBuf::from("/etc/mail/perennial"));
    let TargetRecipe::Files { paths, validate, .. } = &target.recipe else { panic!() };
    assert_eq!(paths.key, Some(PathBuf::from("/etc/mail/{certificate}.key")));
    assert_eq!(target.mode, 0o640);
    assert_eq!(validate.as_deref(), Some(&["postfix", "check"].map(String::from)[..]));
}

#[test]
fn a_ca_that_asks_for_no_challenge_needs_no_solver() {
    let loaded = meaning(
        r#"
        [issuer.mine]
        directory = "http://127.0.0.1:14000/dir"
        kind = "private"
        [target.web]
        nginx = "/etc/nginx"
        [certificate.intranet]
        names = ["intranet"]
        solvers = []
        targets = ["web"]
        "#,
    );
    assert_eq!(render(&loaded.warnings), "");
}

#[test]
fn two_keys_are_two_certificates_each_looked_for_by_its_own_clients() {
    let intent = meaning(
        r#"
        [issuer.mine]
        directory = "http://127.0.0.1:14000/dir"
        kind = "private"
        [target.web]
        nginx = "/etc/nginx"
        [certificate.www]
        names = ["www.example.org"]
        solvers = []
        targets = ["web"]
        endpoints = ["www.example.org", { name = "www.example.org", connect_to = "192.0.2.1", serves = "foreign" }]
        key = ["rsa-3072", "ecdsa-p384"]
        was = "shop"
        [certificate.api]
        names = ["api.example.org"]
        solvers = []
        targets = ["web"]
        "#,
    )
    .intent;
    let names: Vec<&str> = intent.certificates.keys().map(Name::as_str).collect();
    assert_eq!(names, ["api", "www", "www-ecdsa"]);
    let (www, other) =
        (&intent.certificates[&Name::new("www")], &intent.certificates[&Name::new("www-ecdsa")]);
    assert_eq!((www.key, other.key), (KeyAlgorithm::Rsa3072, KeyAlgorithm::EcdsaP384));
    assert!(www.key_chosen && other.key_chosen);
    assert_eq!(other.was, Some(Name::new("shop-ecdsa")));
    assert_eq!((&www.identifiers, &www.targets), (&other.identifiers, &other.targets));
    let met = |spec: &CertificateSpec| {
        let met = spec.endpoints.iter().map(ToString::to_string);
        met.collect::<Vec<_>>()
    };
    let foreign = String::from("www.example.org:443 at 192.0.2.1");
    assert_eq!(met(www), [String::from("www.example.org:443 (RSA)"), foreign.clone()]);
    assert_eq!(met(other), [String::from("www.example.org:443 (ECDSA)"), foreign]);
    assert_eq!(met(&intent.certificates[&Name::new("api")]), ["api.example.org:443"]);
}

#[test]
fn certificates_of_both_variants_are_told_apart_where_they_meet_and_nowhere_else() {
    let met = |sites: [&str; 2]| {
        let text = format!(
            r#"
            [issuer.mine]
            directory = "http://127.0.0.1:14000/dir"
            kind = "private"
            [target.one]
            nginx = "/etc/one"
            {}
            [target.two]
            nginx = "/etc/two"
            {}
            [certificate.old]
            names = ["www.example.org"]
            solvers = []
            targets = ["one"]
            key = "rsa-2048"
            [certificate.new]
            names = ["www.example.org", "example.org"]
            solvers = []
            targets = ["two"]
            "#,
            sites[0], sites[1]
        );
        let intent = meaning(&text).intent;
        let all = intent.certificates.values().flat_map(|spec| &spec.endpoints);
        all.map(ToString::to_string).collect::<Vec<_>>()
    };
    let told = ["www.example.org:443 (ECDSA)", "example.org:443", "www.example.org:443 (RSA)"];
    assert_eq!(met(["", ""]), told);
    let apart = ["serves_at = [\"192.0.2.1\"]", "serves_at = [\"192.0.2.2\"]"];
    assert_eq!(met(apart), ["www.example.org:443", "example.org:443", "www.example.org:443"]);
}

#[test]
fn origins_are_endpoints_of_their_own_that_serve_ours() {
    let intent = meaning(
        r#"
        [issuer.mine]
        directory = "http://127.0.0.1:14000/dir"
        kind = "private"
        [target.web]
        nginx = "/etc/nginx"
        [certificate.www]
        names = ["www.example.org", "api.example.org"]
        solvers = []
        targets = ["web"]
        endpoints = [
          { name = "www.example.org", serves = "foreign", origins = ["192.0.2.10", "[2001:db8::1]:8443", "o.example.org"] },
          { name = "api.example.org", shared = true },
        ]
        "#,
    )
    .intent;
    let www = &intent.certificates[&Name::new("www")];
    let met: Vec<String> =
        www.endpoints.iter().map(|own| format!("{own} {:?} {}", own.serves, own.shared)).collect();
    let expected = [
        "www.example.org:443 Foreign false",
        "www.example.org:443 at 192.0.2.10 Ours false",
        "www.example.org:8443 at 2001:db8::1 Ours false",
        "www.example.org:443 at o.example.org Ours false",
        "api.example.org:443 Ours true",
    ];
    assert_eq!(met, expected);
}
