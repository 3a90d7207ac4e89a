//! Lists made by another library, over a real socket.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    CrlIssuingDistributionPoint, DnType, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SerialNumber,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use jiff::SignedDuration;

use super::keep::{MAX_LISTS, PAUSES, RETRY_AFTER};
use super::*;

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn hours(count: i64) -> Timestamp {
    now() + SignedDuration::from_hours(count)
}

fn lists() -> Arc<Revocations> {
    Arc::new(Revocations::new().unwrap())
}

/// The type of rcgen's dates, without naming its crate.
macro_rules! date {
    ($at:expr) => {{
        let mut date = rcgen::date_time_ymd(1970, 1, 1);
        date += std::time::Duration::from_secs($at.as_second().try_into().unwrap());
        date
    }};
}

struct Ca {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    fn leaf(&self, serial: u64, urls: &[String]) -> Chain {
        let mut params = CertificateParams::new(["shop.test".to_owned()]).unwrap();
        params.serial_number = Some(SerialNumber::from(serial));
        params.not_before = date!(hours(-24));
        params.not_after = date!(hours(24 * 60));
        if !urls.is_empty() {
            params.crl_distribution_points = vec![CrlDistributionPoint { uris: urls.to_vec() }];
        }
        let key = KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Chain::from_pem(pem.as_bytes()).unwrap()
    }

    fn roots(&self) -> Roots {
        Roots::from_pem("the test", self.pem.as_bytes()).unwrap()
    }

    fn list(&self, serials: &[u64], until: Timestamp, scope: Option<String>) -> Vec<u8> {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date!(hours(-2)),
            reason_code: Some(rcgen::RevocationReason::KeyCompromise),
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date!(hours(-1)),
            next_update: date!(until),
            crl_number: SerialNumber::from(7_u64),
            issuing_distribution_point: scope.map(|url| CrlIssuingDistributionPoint {
                distribution_point: CrlDistributionPoint { uris: vec![url] },
                scope: None,
            }),
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().der().to_vec()
    }
}

/// A server of one list that counts who asks.
struct Shelf {
    address: SocketAddr,
    answer: Arc<Mutex<Vec<u8>>>,
    asked: Arc<AtomicUsize>,
}

impl Shelf {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (answer, asked) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let (told, count) = (Arc::clone(&answer), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                count.fetch_add(1, Ordering::Relaxed);
                let bytes = told.lock().unwrap().clone();
                let _ = stream.write_all(&bytes).await;
            }
        });
        Self { address, answer, asked }
    }

    fn url(&self) -> String {
        format!("http://{}/1.crl", self.address)
    }

    fn serve(&self, list: &[u8]) {
        let head = format!(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            list.len()
        );
        self.say(&[head.as_bytes(), list].concat());
    }

    fn say(&self, answer: &[u8]) {
        *self.answer.lock().unwrap() = answer.to_vec();
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn unknown(standing: Standing) -> String {
    match standing {
        Standing::Unknown(cause) => cause,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_listed_leaf_is_revoked_and_its_neighbour_is_not_by_one_fetch() {
    let (ca, shelf) = (Ca::new("Test CA"), Shelf::new().await);
    shelf.serve(&ca.list(&[5, 300, 70_000], hours(24), Some(shelf.url())));
    let (listed, other) = (ca.leaf(300, &[shelf.url()]), ca.leaf(301, &[shelf.url()]));
    let (roots, lists) = (ca.roots(), lists());
    let (first, second, again) = tokio::join!(
        lists.standing(&listed, &roots, now()),
        lists.standing(&other, &roots, now()),
        lists.standing(&listed, &roots, now()),
    );
    let revoked = Standing::Revoked { since: hours(-2), reason: Some("its key was compromised") };
    assert_eq!([first, second, again], [revoked.clone(), Standing::Good, revoked]);
    assert_eq!(shelf.asked(), 1);
}

#[tokio::test]
async fn a_list_is_fetched_again_when_it_ends_or_after_six_hours() {
    let (ca, shelf) = (Ca::new("Test CA"), Shelf::new().await);
    let (leaf, roots) = (ca.leaf(1, &[shelf.url()]), ca.roots());
    let lists = self::lists();
    shelf.serve(&ca.list(&[], hours(2), None));
    assert_eq!(lists.standing(&leaf, &roots, now()).await, Standing::Good);
    shelf.serve(&ca.list(&[1], hours(100), None));
    assert_eq!(lists.standing(&leaf, &roots, hours(1)).await, Standing::Good);
    for at in [2, 7] {
        let standing = lists.standing(&leaf, &roots, hours(at)).await;
        assert!(matches!(standing, Standing::Revoked { .. }), "{standing:?}");
    }
    assert_eq!(shelf.asked(), 2);
    lists.standing(&leaf, &roots, hours(8)).await;
    assert_eq!(shelf.asked(), 3);
}

#[tokio::test]
async fn a_list_that_cannot_be_had_is_no_revocation_and_is_left_alone_for_a_while() {
    let (ca, shelf) = (Ca::new("Test CA"), Shelf::new().await);
    let (leaf, roots) = (ca.leaf(1, &[shelf.url()]), ca.roots());
    let lists = self::lists();
    shelf.say(b"HTTP/1.1 301 Moved\r\nLocation: /2.crl\r\nContent-Length: 0\r\n\r\n");
    for _ in 0..3 {
        let cause = unknown(lists.standing(&leaf, &roots, now()).await);
        assert!(cause.ends_with("/1.crl: HTTP status 301"), "{cause}");
    }
    assert_eq!(shelf.asked(), 1);
    shelf.serve(&ca.list(&[1], hours(24), None));
    let later = now() + RETRY_AFTER;
    let standing = lists.standing(&leaf, &roots, later).await;
    assert!(matches!(standing, Standing::Revoked { .. }), "{standing:?}");
}

#[tokio::test]
async fn silent_lists_hold_a_look_up_for_a_bounded_time_and_are_then_left_alone() {
    let ca = Ca::new("Test CA");
    // Nobody accepts, so the system takes the connections and nothing is ever answered.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = |n| format!("http://{}/{n}.crl", listener.local_addr().unwrap());
    let leaf = ca.leaf(1, &[url(1), url(2)]);
    let lists = Arc::new(Revocations::new().unwrap().with_limit(Duration::from_millis(800)));
    let ask = async |at: Timestamp| {
        let fine = Judgement {
            state: SightState::Ok,
            leaf: None,
            cause: None,
            refused_by: Vec::new(),
            revocation_unknown: None,
        };
        let judged = vec![(fine, Some((leaf.clone(), ca.roots())))];
        let told = timeout(Duration::from_secs(4), lists.complete(judged, at)).await.unwrap();
        (told[0].state, told[0].told().join("; "))
    };
    let (state, cause) = ask(now()).await;
    assert_eq!(state, SightState::Ok);
    let both = |n| format!("{}: no answer within 0.35 s", url(n));
    let told = format!("whether it is revoked could not be looked at: {}; {}", both(1), both(2));
    assert_eq!(cause, told);
    // What was learnt counts for a while: nobody waits again.
    let again = timeout(Duration::from_millis(300), ask(now())).await.unwrap();
    assert_eq!(again, (state, cause));
}

#[tokio::test]
async fn only_a_list_of_the_same_ca_for_such_leaves_that_has_not_ended_counts() {
    let (ca, shelf) = (Ca::new("Test CA"), Shelf::new().await);
    let (leaf, roots) = (ca.leaf(1, &[shelf.url()]), ca.roots());
    let forged = Ca::new("Test CA").list(&[1], hours(24), None);
    let stranger = Ca::new("Another CA").list(&[1], hours(24), None);
    let elsewhere = ca.list(&[1], hours(24), Some("http://ca.test/other.crl".to_owned()));
    let ended = ca.list(&[1], hours(0), None);
    for (list, cause) in [
        (forged, "InvalidCrlSignatureForPublicKey"),
        (stranger, "the list is not for this leaf"),
        (elsewhere, "the list is not for this leaf"),
        (ended, "the list ended at 2026-11-21T12:00:00Z"),
        (b"no list".to_vec(), "the list cannot be used: "),
    ] {
        shelf.serve(&list);
        let lists = self::lists();
        let told = unknown(lists.standing(&leaf, &roots, now()).await);
        assert!(told.contains(cause), "{told}");
    }
}

#[tokio::test]
async fn nobody_is_asked_about_a_leaf_that_no_root_vouches_for_or_that_names_no_list() {
    let (ca, shelf) = (Ca::new("Test CA"), Shelf::new().await);
    shelf.serve(&ca.list(&[1], hours(24), None));
    let lists = self::lists();
    let foreign = ca.leaf(1, &[shelf.url()]);
    let roots = Ca::new("Test Root").roots();
    assert_eq!(unknown(lists.standing(&foreign, &roots, now()).await), "UnknownIssuer");
    let urls = ["ldap://127.0.0.1/cn=1".to_owned(), format!("https://{}/1.crl", shelf.address)];
    for urls in [&[][..], &urls[..]] {
        let leaf = ca.leaf(1, urls);
        assert_eq!(lists.standing(&leaf, &ca.roots(), now()).await, Standing::Unpublished);
    }
    assert_eq!(shelf.asked(), 0);
}

#[tokio::test]
async fn a_damaged_list_never_revokes_and_never_panics() {
    let ca = Ca::new("Test CA");
    let (leaf, roots) = (ca.leaf(300, &["http://ca.test/1.crl".to_owned()]), ca.roots());
    let whole = ca.list(&[5, 300], hours(24), None);
    assert!(List::read(&whole, &leaf, &roots, now()).is_ok());
    for index in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[index] ^= 0x01;
        assert!(List::read(&bytes, &leaf, &roots, now()).is_err(), "byte {index}");
        assert!(List::read(&whole[..index], &leaf, &roots, now()).is_err(), "cut at {index}");
    }
}

#[tokio::test]
async fn too_many_lists_are_not_kept() {
    let (ca, shelf) = (Ca::new("Test CA"), Shelf::new().await);
    shelf.serve(&ca.list(&[], hours(24), None));
    let (lists, roots) = (lists(), ca.roots());
    for number in 0..MAX_LISTS {
        let none = Err(Trouble::Missing("none".to_owned()));
        lists.lists().keep(&(number.to_string(), Vec::new()), hours(-1), none);
    }
    assert_eq!(lists.standing(&ca.leaf(1, &[shelf.url()]), &roots, now()).await, Standing::Good);
    assert_eq!(lists.lists().len(), MAX_LISTS);
    assert_eq!(lists.standing(&ca.leaf(2, &[shelf.url()]), &roots, now()).await, Standing::Good);
    assert_eq!(shelf.asked(), 1, "what was fetched last is kept");
}

#[tokio::test]
async fn who_was_listed_stays_revoked_while_no_newer_list_can_be_had() {
    let (ca, shelf) = (Ca::new("Test CA"), Shelf::new().await);
    let (listed, other) = (ca.leaf(1, &[shelf.url()]), ca.leaf(2, &[shelf.url()]));
    let (roots, lists) = (ca.roots(), lists());
    // It counts from an hour ago for 25 hours.
    shelf.serve(&ca.list(&[1], hours(24), None));
    lists.standing(&listed, &roots, now()).await;
    for (at, answer) in [(7, &b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"[..]), (48, b"")] {
        shelf.say(answer);
        let standing = lists.standing(&listed, &roots, hours(at)).await;
        assert!(matches!(standing, Standing::Revoked { .. }), "{at}: {standing:?}");
        unknown(lists.standing(&other, &roots, hours(at)).await);
    }
    shelf.serve(&Ca::new("Test CA").list(&[], hours(100), None));
    unknown(lists.standing(&listed, &roots, hours(49)).await);
}

#[tokio::test]
async fn a_list_that_cannot_be_used_is_fetched_less_and_less_often() {
    let (ca, shelf) = (Ca::new("Test CA"), Shelf::new().await);
    let (leaf, roots) = (ca.leaf(1, &[shelf.url()]), ca.roots());
    let (lists, mut at) = (lists(), now());
    shelf.serve(&Ca::new("Another CA").list(&[], hours(1000), None));
    for (fetches, pause) in PAUSES.into_iter().chain(PAUSES.last().copied()).enumerate() {
        unknown(lists.standing(&leaf, &roots, at).await);
        unknown(lists.standing(&leaf, &roots, at + pause - SignedDuration::from_secs(1)).await);
        assert_eq!(shelf.asked(), fetches + 1);
        at += pause;
    }
    shelf.serve(&ca.list(&[], hours(1000), None));
    assert_eq!(lists.standing(&leaf, &roots, at).await, Standing::Good);
}

#[tokio::test]
async fn a_fetch_goes_on_when_the_look_that_asked_has_gone_and_two_are_under_way_at_most() {
    let (ca, shelf) = (Ca::new("Test CA"), Shelf::new().await);
    shelf.serve(&ca.list(&[], hours(24), None));
    let (roots, lists) = (ca.roots(), lists());
    let held = lists.places.acquire_many(2).await.unwrap();
    let leaf = ca.leaf(1, &[shelf.url()]);
    let looks = [lists.standing(&leaf, &roots, now()), lists.standing(&leaf, &roots, now())];
    for look in looks {
        let stalled = timeout(Duration::from_millis(50), look).await;
        assert!(stalled.is_err(), "{stalled:?}");
    }
    assert_eq!(shelf.asked(), 0, "it waits for its turn");
    drop(held);
    assert_eq!(lists.standing(&leaf, &roots, now()).await, Standing::Good);
    assert_eq!(shelf.asked(), 1, "the three looks share one fetch");
}
