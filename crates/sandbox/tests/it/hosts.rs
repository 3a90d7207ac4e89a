//! TLS hosts met by a TLS client.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use perennial_sandbox::model::host::HostFaults;
use perennial_sandbox::{HostSetup, SandboxHost};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::bench::until;

/// Writes a bundle for `www.test`; returns the leaf's DER.
fn write_bundle(folder: &Path) -> Vec<u8> {
    let made = rcgen::generate_simple_self_signed(vec!["www.test".into()]).unwrap();
    std::fs::write(folder.join("chain.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().to_vec()
}

fn setup(folder: &Path) -> HostSetup {
    HostSetup {
        name: "www".into(),
        addresses: vec![[127, 0, 0, 11].into(), [127, 0, 0, 12].into()],
        port: 0,
        chain: folder.join("chain.pem"),
        key: folder.join("key.pem"),
        trigger: Some(folder.join("reload")),
    }
}

/// Connects, and fetches the page; `leaf` is the only one trusted.
async fn fetch(address: SocketAddr, leaf: &[u8]) -> Result<String, std::io::Error> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(leaf.to_vec().into()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("www.test").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: www.test\r\nConnection: close\r\n\r\n").await?;
    let mut page = String::new();
    // The server closes without a farewell after the last byte.
    let _ = stream.read_to_string(&mut page).await;
    Ok(page)
}

#[tokio::test]
async fn a_host_serves_what_it_loaded_until_told_to_reload() {
    let folder = tempfile::tempdir().unwrap();
    let old = write_bundle(folder.path());
    let host = SandboxHost::start(&setup(folder.path())).await.unwrap();
    let addresses = host.addresses();
    assert_eq!(addresses.len(), 2);
    for address in &addresses {
        assert!(fetch(*address, &old).await.unwrap().ends_with("hello from www\n"));
    }
    let new = write_bundle(folder.path());
    assert!(fetch(addresses[0], &new).await.is_err(), "the old one is still served");
    host.reload().unwrap();
    assert!(fetch(addresses[0], &new).await.is_ok());
    assert_eq!(host.served(addresses[1]), Some(new));
    assert_eq!(host.handshakes(), 3);
}

#[tokio::test]
async fn touching_the_trigger_reloads() {
    let folder = tempfile::tempdir().unwrap();
    write_bundle(folder.path());
    let host = SandboxHost::start(&setup(folder.path())).await.unwrap();
    let new = write_bundle(folder.path());
    std::fs::write(folder.path().join("reload"), "").unwrap();
    until("the new leaf is served", || host.served(host.addresses()[0]).as_ref() == Some(&new))
        .await;
}

#[tokio::test]
async fn a_bundle_that_cannot_be_loaded_leaves_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let old = write_bundle(folder.path());
    let host = SandboxHost::start(&setup(folder.path())).await.unwrap();
    let other = rcgen::KeyPair::generate().unwrap();
    std::fs::write(folder.path().join("key.pem"), other.serialize_pem()).unwrap();
    let refused = host.reload().unwrap_err().to_string();
    assert!(refused.starts_with("could not reload host www: "), "{refused}");
    assert!(fetch(host.addresses()[0], &old).await.is_ok());
}

#[tokio::test]
async fn without_a_bundle_a_host_speaks_no_tls() {
    let folder = tempfile::tempdir().unwrap();
    let host = SandboxHost::start(&setup(folder.path())).await.unwrap();
    let leaf = rcgen::generate_simple_self_signed(vec!["www.test".into()]).unwrap();
    let error = fetch(host.addresses()[0], leaf.cert.der()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
}

#[tokio::test]
async fn faults_are_met_as_they_are_in_the_wild() {
    let folder = tempfile::tempdir().unwrap();
    let old = write_bundle(folder.path());
    let host = SandboxHost::start(&setup(folder.path())).await.unwrap();
    let [one, two] = host.addresses()[..] else { panic!() };
    let new = write_bundle(folder.path());
    host.with(|host| host.faults.reload_does_nothing = true);
    host.reload().unwrap();
    assert!(fetch(one, &old).await.is_ok());
    host.with(|host| {
        host.faults = HostFaults::default();
        host.set_reloads(two, false);
    });
    host.reload().unwrap();
    assert!(fetch(one, &new).await.is_ok() && fetch(two, &old).await.is_ok());
    host.with(|host| host.set_reachable(one, false));
    until("connections are refused", || {
        std::net::TcpStream::connect(one).is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused)
    })
    .await;
    assert!(fetch(two, &old).await.is_ok());
    host.with(|host| host.set_reachable(one, true));
    until("connections are taken", || std::net::TcpStream::connect(one).is_ok()).await;
    assert!(fetch(one, &new).await.is_ok());
}
