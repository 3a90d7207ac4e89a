//! The table of DNS providers says what the adapter takes, and one of them proves names.

use std::process::Command;

use perennial_adapters::challenge::{Credentials, Holding, ProviderSettings, ZoneLocks};
use perennial_config::{Field, Need, Provider, providers};
use perennial_peers::{PowerDns, Zone};
use zeroize::Zeroizing;

use crate::running::Running;
use crate::world::{SHOP, World, assert_no_txt};

/// Something that the field could hold.
fn value(field: &Field, rsa_key: &str) -> String {
    match field.name {
        "private_key" => rsa_key.to_owned(),
        "context" | "port" => "4".to_owned(),
        "skip_deploy" | "private_zone" | "global_key" | "sandbox" => "true".to_owned(),
        "region" => "eu-west-101".to_owned(),
        "environment" => "china".to_owned(),
        "endpoint" if field.meaning.contains("ovh-eu") => "ovh-eu".to_owned(),
        "base_url" | "server_url" | "endpoint" => "https://api.example.org".to_owned(),
        "scheme" => "https".to_owned(),
        _ => format!("a-{}", field.name),
    }
}

fn rsa_key() -> String {
    let mut openssl = Command::new("openssl");
    openssl.args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    let made = openssl.output().expect("`openssl` not found: apt-get install openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap()
}

fn make(provider: &Provider, fields: &[&Field], rsa_key: &str) -> Result<(), String> {
    let credential =
        |field: &&Field| (field.name.to_owned(), Zeroizing::new(value(field, rsa_key)));
    let credentials: Credentials = fields.iter().map(credential).collect();
    let (holds, zones) = ((Holding::Many, 60), ZoneLocks::default());
    ProviderSettings::new(provider.word, &credentials, holds, zones).map(drop)
}

#[test]
fn a_client_can_be_made_of_exactly_what_each_row_says() {
    let rsa_key = rsa_key();
    for provider in providers() {
        let word = provider.word;
        // What an encrypted key is decrypted with goes with no other key.
        let usual = |field: &&Field| field.name != "private_key_password";
        let all: Vec<&Field> = provider.fields.iter().filter(usual).collect();
        assert_eq!(make(provider, &all, &rsa_key), Ok(()), "{word}");
        let least: Vec<&Field> =
            provider.fields.iter().filter(|field| field.need == Need::Must).collect();
        let ways: Vec<&Field> =
            provider.fields.iter().filter(|field| field.need == Need::OneOf).collect();
        if ways.is_empty() {
            assert_eq!(make(provider, &least, &rsa_key), Ok(()), "{word}");
        }
        for way in &ways {
            let with = [&least[..], &[*way]].concat();
            assert_eq!(make(provider, &with, &rsa_key), Ok(()), "{word} by {}", way.name);
        }
        for lacking in &least {
            let others: Vec<&Field> =
                all.iter().copied().filter(|field| field.name != lacking.name).collect();
            let said = format!("it needs `{}`", lacking.name);
            assert_eq!(make(provider, &others, &rsa_key), Err(said), "{word}");
        }
    }
    let names: Vec<&str> = providers().iter().map(|provider| provider.word).collect();
    assert_eq!(names.len(), 72, "{names:?}");
}

/// A name and its wildcard: two values of one name, both up at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_is_proven_by_the_api_of_powerdns_deployed_and_seen() {
    let records = "@ A 127.0.0.1\nwww A 127.0.0.1";
    let dns = PowerDns::start([Zone::new("shop.test", records)]).await.unwrap();
    let world = World::new(dns.addr(), &["shop.test", "www.shop.test"]).await;
    std::fs::write(world.path("pdns.key"), PowerDns::api_key()).unwrap();
    let solver = format!(
        "[solver.pdns]\ndns-01 = \"pdns\"\nnameservers = [\"{}\"]\ncredentials = {{ endpoint = \
         \"{}\", api_key = \"file:@DIR@/pdns.key\" }}\n",
        dns.addr(),
        dns.api()
    );
    let config = world.write(&format!("{solver}{SHOP}"));
    let mut daemon = Running::start(&config).await;
    daemon.until_seen("shop", 1).await;
    daemon.until_idle().await;
    assert_no_txt(dns.addr(), "_acme-challenge.shop.test").await;
    daemon.stop().await;
}
