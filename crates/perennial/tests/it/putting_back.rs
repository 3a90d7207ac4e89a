//! Reloads that come back worse, on real servers: the bundle before is active again within seconds,
//! and nobody else's.

use std::fs;
use std::path::Path;

use perennial_core::driver::Driver;
use perennial_core::finding::Code;
use perennial_core::words::{Fingerprint, Name, SightState};
use perennial_peers::{Haproxy, HaproxyOptions};

use crate::running::{Running, certificate_of};
use crate::world::{WWW_BY_LISTENER, World, any_name};

/// Waits until a certificate's endpoint shows a leaf in good order.
async fn until_shown(daemon: &mut Running, certificate: &'static str, leaf: Fingerprint) {
    let shown = move |driver: &Driver, _| {
        let certificate = certificate_of(driver, &Name::new(certificate))?;
        let mut shown = certificate.endpoints.first()?.shown.iter().flatten();
        let is_it = shown.next()?;
        (is_it.state == SightState::Ok && is_it.leaf() == Some(leaf)).then_some(())
    };
    daemon.until(&format!("{leaf} shown for {certificate}"), shown).await;
}

/// Reloads with a pair of files for each variant, but without RSA's where that is a new one and the
/// file `breaks` lies there.
fn script(world: &World) -> String {
    let dir = world.folder.path().display();
    let conf = world.nginx.dir().join("conf.d/00.conf");
    let reload = world.nginx.reload_command().join(" ");
    format!(
        "set -e\npairs=\nfor c in www www-rsa; do\n  f={dir}/own/$c/current\n  \
         [ -e $f/fullchain.pem ] || continue\n  \
         if [ $c = www-rsa ] && [ -e {dir}/breaks ] && ! cmp -s $f/cert.pem {dir}/first.pem; then\n    \
         continue\n  fi\n  \
         pairs=\"$pairs ssl_certificate $f/fullchain.pem; ssl_certificate_key $f/privkey.pem;\"\n\
         done\n\
         echo \"server {{ listen {at} ssl; $pairs location / {{ return 200 ok; }} }}\" > {conf}\n\
         {reload}\n",
        at = world.https.v4(),
        conf = conf.display(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaf_whose_variant_nginx_shows_no_more_is_taken_back_and_the_other_variant_stays() {
    let dns = any_name().await;
    let world = World::new(dns.addr(), &["www.example.test"]).await;
    fs::write(world.path("reload.sh"), script(&world)).unwrap();
    let config = WWW_BY_LISTENER.replace("[\"web\"]", "[\"own\"]")
        + "key = [\"ecdsa-p256\", \"rsa-2048\"]\n\
           [target.own]\nfiles = \"@DIR@/own\"\nreload = [\"sh\", \"@DIR@/reload.sh\"]\nsettle = \"2s\"\n";
    let mut daemon = Running::start(&world.write(&config)).await;
    let first = daemon.until_seen("www-rsa", 1).await;
    daemon.until_seen("www", 1).await;
    daemon.until_idle().await;
    fs::copy(world.path("own/www-rsa/current/cert.pem"), world.path("first.pem")).unwrap();
    fs::write(world.path("breaks"), "").unwrap();

    daemon.renew("www-rsa");
    let incident = daemon.until_found(Code::TargetRolledBack).await;
    assert_eq!(&*incident.subject, "own");
    until_shown(&mut daemon, "www-rsa", first.fingerprint).await;
    let place = format!("www.example.test:{} (RSA)", world.https.number());
    assert!(incident.evidence.contains(&place), "{incident:?}");
    assert!(incident.evidence.contains("shows no leaf"), "{incident:?}");
    let lies = fs::read(world.path("own/www-rsa/current/cert.pem")).unwrap();
    assert_eq!(lies, fs::read(world.path("first.pem")).unwrap());
    let others = |driver: &Driver, _: jiff::Timestamp| {
        certificate_of(driver, &Name::new("www")).map(|c| c.history.incidents.len())
    };
    assert_eq!(daemon.look(others).await, Some(0));

    fs::remove_file(world.path("breaks")).unwrap();
    daemon.renew("www-rsa");
    daemon.until_seen("www-rsa", 3).await;
    daemon.until_gone(Code::TargetRolledBack).await;
    daemon.stop().await;
}

/// Reloads, but without TLS where the leaf is a new one and the file `breaks` lies there.
fn haproxy_script(world: &World, haproxy: &Haproxy) -> String {
    let dir = world.folder.path().display();
    let conf = haproxy.conf_path();
    let good = world.path("good.cfg");
    fs::copy(&conf, &good).unwrap();
    let (conf, good) = (conf.display(), good.display());
    format!(
        "set -e\nif [ -e {dir}/breaks ] && ! cmp -s {dir}/own/www/current/cert.pem {dir}/first.pem; then\n  \
         sed 's/ ssl crt .*//' {good} > {conf}\nelse\n  cp {good} {conf}\nfi\n{}\n",
        haproxy.reload_command().last().unwrap()
    )
}

fn combined(world: &World) -> String {
    let text = |name: &str| fs::read_to_string(world.path(name)).unwrap();
    format!("{}{}", text("old.pem"), text("old.key"))
}

fn config(haproxy: &Haproxy, reload: &Path) -> String {
    WWW_BY_LISTENER.replace("[\"web\"]", "[\"own\"]")
        + &format!(
            "[target.own]\nhaproxy = \"{}\"\nfiles = \"@DIR@/own\"\ntake_over = true\n\
             settle = \"2s\"\nreload = [\"sh\", \"{}\"]\n",
            haproxy.conf_path().display(),
            reload.display()
        )
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_is_renewed_at_run_time_and_what_it_serves_worse_is_taken_back() {
    let dns = any_name().await;
    let mut world = World::new(dns.addr(), &["www.example.test"]).await;
    fs::write(world.path("placeholder.pem"), combined(&world)).unwrap();
    // HAProxy has the port that nginx had.
    world.nginx.stop();
    let crt = format!("crt {}", world.path("placeholder.pem").display());
    let haproxy = Haproxy::start(&HaproxyOptions::of(world.https.v4(), crt)).await.unwrap();
    let reload = world.path("reload.sh");
    fs::write(&reload, "false\n").unwrap();
    let mut daemon = Running::start(&world.write(&config(&haproxy, &reload))).await;
    daemon.until_seen("www", 1).await;
    let url = format!("https://{}/", world.https.v4());
    let load = perennial_peers::WrkOptions::of_handshakes(&url);
    let load = perennial_peers::Wrk::start(&perennial_peers::WrkOptions { connections: 2, ..load });
    let load = load.unwrap();
    for number in 2..=4 {
        daemon.renew("www");
        daemon.until_seen("www", number).await;
    }
    let report = load.stop().await.unwrap();
    assert!(report.requests > 10, "{report:?}");
    assert_eq!(report.failures(), 0, "{report:?}");
    let fourth = daemon.until_seen("www", 4).await;
    daemon.until_idle().await;

    // Now its runtime API is not to be had, and the reload brings another mistake along.
    let text = fs::read_to_string(haproxy.conf_path()).unwrap();
    fs::write(haproxy.conf_path(), text.replace("level admin", "level operator")).unwrap();
    fs::write(&reload, haproxy_script(&world, &haproxy)).unwrap();
    fs::copy(world.path("own/www/current/cert.pem"), world.path("first.pem")).unwrap();
    fs::write(world.path("breaks"), "").unwrap();
    daemon.renew("www");
    daemon.until_found(Code::TargetRolledBack).await;
    until_shown(&mut daemon, "www", fourth.fingerprint).await;
    fs::remove_file(world.path("breaks")).unwrap();
    daemon.renew("www");
    daemon.until_seen("www", 6).await;
    daemon.until_gone(Code::TargetRolledBack).await;
    daemon.stop().await;
}
