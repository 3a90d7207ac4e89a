//! certbot against Pebble, with validation over real HTTP and DNS.

use perennial_peers::{
    Bind, Certbot, CertbotProof, DnsOptions, Nginx, NginxOptions, Pebble, PebbleOptions, Program,
    Server, TsigKey, Zone,
};

async fn pebble(dns: &Bind) -> Pebble {
    let mut options = PebbleOptions::asking(dns.addr());
    options.nonce_reject_percent = 0; // certbot gives up at the second in a row
    Pebble::start(options).await.unwrap()
}

#[tokio::test]
async fn certbot_issues_through_a_webroot_and_pebble_really_asks() {
    let dns = Bind::start(DnsOptions::serving([Zone::new(
        "shop.test",
        "@ A 127.0.0.1\nwww A 127.0.0.1",
    )]))
    .await
    .unwrap();
    let ca = pebble(&dns).await;
    let webroot = tempfile::tempdir().unwrap();
    let at = format!("127.0.0.1:{}", ca.http_port()).parse().unwrap();
    let server = Server::named(&["shop.test", "www.shop.test"]).http(at).webroot(webroot.path());
    let mut nginx = Nginx::start(NginxOptions { servers: vec![server], ..NginxOptions::default() })
        .await
        .unwrap();
    let certbot = Certbot::new().unwrap();
    let proof = CertbotProof::Webroot(webroot.path().to_owned());

    let live = certbot.issue(&ca, &["shop.test", "www.shop.test"], &proof).await.unwrap();
    let chain = std::fs::read_to_string(live.join("fullchain.pem")).unwrap();
    assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2);
    assert!(live.join("privkey.pem").is_symlink());
    assert!(certbot.config_dir().join("renewal/shop.test.conf").exists());

    let leaf = std::fs::read_to_string(live.join("cert.pem")).unwrap();
    ca.set_renewal_info(&leaf, "{}").await.unwrap();
    ca.set_renewal_info("nonsense", "{}").await.unwrap_err();

    nginx.stop();
    let error = certbot.issue(&ca, &["other.shop.test"], &proof).await.unwrap_err().to_string();
    assert!(error.contains("certbot"), "{error}");
}

#[tokio::test]
async fn certbot_issues_a_wildcard_through_records_in_bind() {
    let dns =
        Bind::start(DnsOptions::serving([Zone::new("shop.test", "@ A 127.0.0.1")])).await.unwrap();
    let ca = pebble(&dns).await;
    let certbot = Certbot::new().unwrap();
    let TsigKey { name, secret } = TsigKey::known();
    let nsupdate = Program::NSUPDATE.locate().unwrap();
    let hook = |verb: &str| {
        format!(
            "printf 'server {ip} {port}\\nupdate {verb} _acme-challenge.%s. 1 TXT %s\\nsend\\n' \
             \"$CERTBOT_DOMAIN\" \"$CERTBOT_VALIDATION\" | {nsupdate} -v -y \
             hmac-sha256:{name}:{secret}",
            ip = dns.addr().ip(),
            port = dns.addr().port(),
            nsupdate = nsupdate.display(),
        )
    };
    let (auth_hook, cleanup_hook) = (hook("add"), hook("delete"));
    let challenge = "dns-01".to_owned();
    let proof = CertbotProof::Manual { auth_hook, cleanup_hook, challenge };
    let live = certbot.issue(&ca, &["*.shop.test", "shop.test"], &proof).await.unwrap();
    assert!(live.join("fullchain.pem").exists());
    assert!(dns.look("_acme-challenge.shop.test", "TXT").await.unwrap().is_empty());
}
