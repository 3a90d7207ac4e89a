//! Tests of the CA: every state against every request, and the rules that clients trip over.

use std::fmt::Write as _;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use perennial_core::words::{
    AriCertId, AuthorizationFacts, Identifier, KeyId, KeyKind, OrderFacts, OrderStatus, Permille,
    Url, after,
};

use super::*;

fn id(text: &str) -> Identifier {
    Identifier::new(text).unwrap()
}

fn ids(text: &str) -> Arc<[Identifier]> {
    text.split(' ').map(id).collect()
}

fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

/// A CA, a clock and a client with an account.
struct Bench {
    ca: Ca,
    now: Timestamp,
    account: Url,
}

impl Bench {
    fn new() -> Self {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let mut config =
            CaConfig::like_lets_encrypt("https://ca.test", after(now, hours(24 * 900)));
        config.reuse = Permille::new(0);
        let ca = Ca::new(config, Dice::new(1));
        let mut bench = Self { ca, now, account: Url::from("") };
        bench.account = bench.register("thumb");
        bench
    }

    fn register(&mut self, thumbprint: &str) -> Url {
        let thumbprint = thumbprint.into();
        let new = NewAccount { thumbprint, agreed: true, ..NewAccount::default() };
        match self.ask(&CaRequest::NewAccount(new)).body {
            Ok(CaFact::Account(facts)) => facts.url,
            other => panic!("{other:?}"),
        }
    }

    fn ask(&mut self, request: &CaRequest) -> CaAnswer {
        match self.ca.ask(request, self.now).delivery {
            Delivery::Answer(answer) => *answer,
            other => panic!("{other:?}"),
        }
    }

    fn new_order(&self, names: &str) -> NewOrder {
        let account = self.account.clone();
        NewOrder { account, identifiers: ids(names), profile: None, replaces: None }
    }

    fn order(&mut self, names: &str) -> OrderFacts {
        let request = CaRequest::NewOrder(self.new_order(names));
        order_of(self.ask(&request))
    }

    fn poll(&mut self, order: &Url) -> CaAnswer {
        self.ask(&CaRequest::Order { account: self.account.clone(), order: order.clone() })
    }

    fn look(&mut self, authorization: &Url) -> AuthorizationFacts {
        let (account, authorization) = (self.account.clone(), authorization.clone());
        match self.ask(&CaRequest::Authorization { account, authorization, deactivate: false }).body
        {
            Ok(CaFact::Authorization(facts)) => facts,
            other => panic!("{other:?}"),
        }
    }

    /// Responds to the first challenge of every pending authorization.
    fn respond(&mut self, order: &OrderFacts) {
        for url in &order.authorizations {
            let facts = self.look(url);
            if facts.status == perennial_core::words::AuthorizationStatus::Pending {
                let challenge = facts.challenges[0].url.clone();
                let account = self.account.clone();
                self.ask(&CaRequest::Respond { account, challenge });
            }
        }
    }

    /// Answers the CA's effects: validations by `verdict`, leaves by signing.
    fn settle(&mut self, verdict: &Result<(), perennial_core::words::Problem>) {
        for effect in self.ca.effects() {
            match effect {
                CaEffect::Validate(found) => {
                    self.ca.verdict(found.authorization, verdict.clone(), self.now);
                }
                CaEffect::Issue { order, leaf, .. } => self.ca.issued(order, Ok(leaf), self.now),
            }
        }
    }

    fn finalize(&mut self, order: &OrderFacts, names: &str) -> CaAnswer {
        let csr =
            Csr { identifiers: ids(names), key: KeyId([7; 32]), key_kind: KeyKind::EcdsaP256 };
        let finalize = order.finalize.clone().unwrap();
        self.ask(&CaRequest::Finalize { account: self.account.clone(), finalize, csr })
    }

    /// Walks an order to its leaf.
    fn issue(&mut self, new: NewOrder) -> (OrderFacts, IssuedLeaf) {
        let names = new.identifiers.iter().map(Identifier::as_str).collect::<Vec<_>>().join(" ");
        let order = order_of(self.ask(&CaRequest::NewOrder(new)));
        self.respond(&order);
        self.settle(&Ok(()));
        assert_eq!(order_of(self.finalize(&order, &names)).status, OrderStatus::Processing);
        self.settle(&Ok(()));
        assert_eq!(order_of(self.poll(&order.url)).status, OrderStatus::Processing);
        self.now = after(self.now, SignedDuration::from_secs(3));
        let order = order_of(self.poll(&order.url));
        let account = self.account.clone();
        let certificate = order.certificate.clone().unwrap();
        match self.ask(&CaRequest::Certificate { account, certificate }).body {
            Ok(CaFact::Certificate(leaf)) => (order, leaf),
            other => panic!("{other:?}"),
        }
    }
}

fn order_of(answer: CaAnswer) -> OrderFacts {
    match answer.body {
        Ok(CaFact::Order(facts)) => facts,
        other => panic!("{other:?}"),
    }
}

/// Writes an answer in one word or two: `200 ready`, `404 malformed`.
fn short(answer: &CaAnswer) -> String {
    let status = answer.status;
    match &answer.body {
        Ok(CaFact::Order(facts)) => format!("{status} {:?}", facts.status).to_lowercase(),
        Ok(CaFact::Authorization(facts)) => format!("{status} {:?}", facts.status).to_lowercase(),
        Ok(CaFact::Challenge(facts)) => format!("{status} {:?}", facts.status).to_lowercase(),
        Ok(_) => format!("{status} ok"),
        Err(problem) => format!("{status} {}", problem.kind),
    }
}

fn refused() -> perennial_core::words::Problem {
    problem(403, "unauthorized", "Invalid response")
}

/// Brings an order for `a.test` into a state; returns it and its certificate's URL.
fn in_state(state: &str) -> (Bench, OrderFacts) {
    let mut bench = Bench::new();
    let order = bench.order("a.test");
    if state == "pending" {
        return (bench, order);
    }
    bench.respond(&order);
    if state == "validating" {
        return (bench, order);
    }
    bench.settle(&if state == "failed" { Err(refused()) } else { Ok(()) });
    if matches!(state, "ready" | "failed" | "expired") {
        if state == "expired" {
            bench.now = after(bench.now, hours(8 * 24));
        }
        return (bench, order);
    }
    bench.finalize(&order, "a.test");
    if state == "refused" {
        for effect in bench.ca.effects() {
            let CaEffect::Issue { order, .. } = effect else { panic!("{effect:?}") };
            bench.ca.issued(order, Err(problem(403, "caa", "")), bench.now);
        }
    }
    bench.settle(&Ok(()));
    if state == "valid" {
        bench.now = after(bench.now, SignedDuration::from_secs(3));
        bench.poll(&order.url);
        bench.poll(&order.url);
    }
    (bench, order)
}

#[test]
fn an_order_in_every_state_answers_every_request() {
    let states =
        ["pending", "validating", "ready", "processing", "valid", "failed", "refused", "expired"];
    let mut table = String::new();
    for state in states {
        let mut row = format!("{state}:");
        let requests: [fn(&mut Bench, &OrderFacts) -> CaAnswer; 6] = [
            |bench, order| bench.poll(&order.url),
            |bench, order| {
                let (account, authorization) =
                    (bench.account.clone(), order.authorizations[0].clone());
                bench.ask(&CaRequest::Authorization { account, authorization, deactivate: false })
            },
            |bench, order| {
                let account = bench.account.clone();
                let text = order.authorizations[0].0.replace("/authz/", "/chall/");
                let challenge = Url(format!("{text}/dns-01").into());
                bench.ask(&CaRequest::Respond { account, challenge })
            },
            |bench, order| bench.finalize(order, "a.test"),
            |bench, order| bench.finalize(order, "b.test"),
            |bench, order| {
                let again = bench.order("a.test");
                let same = if again.url == order.url { "same" } else { "new" };
                let status = if same == "same" { 201 } else { 200 };
                let mut answer = bench.poll(&again.url);
                answer.status = status;
                answer
            },
        ];
        for request in requests {
            let (mut bench, order) = in_state(state);
            let _ = write!(row, " | {}", short(&request(&mut bench, &order)));
        }
        table.push_str(&row);
        table.push('\n');
    }
    // Columns: poll, authorization, respond, finalize, finalize for other names, and the same
    // newOrder again (201: given the same order; 200: a new one).
    let expected = "\
pending: | 200 pending | 200 pending | 200 processing | 403 orderNotReady | 403 orderNotReady | 201 pending
validating: | 200 pending | 200 pending | 200 pending | 403 orderNotReady | 403 orderNotReady | 201 pending
ready: | 200 ready | 200 valid | 400 malformed | 200 processing | 403 unauthorized | 201 ready
processing: | 200 processing | 200 valid | 400 malformed | 403 orderNotReady | 403 orderNotReady | 200 pending
valid: | 200 valid | 200 valid | 400 malformed | 403 orderNotReady | 403 orderNotReady | 200 pending
failed: | 200 invalid | 200 invalid | 400 malformed | 403 orderNotReady | 403 orderNotReady | 200 pending
refused: | 200 invalid | 200 valid | 400 malformed | 403 orderNotReady | 403 orderNotReady | 200 pending
expired: | 404 malformed | 200 valid | 400 malformed | 404 malformed | 404 malformed | 200 pending
";
    assert_eq!(table, expected, "\n{table}");
}

#[test]
fn every_state_of_an_order_meets_every_event() {
    use order::{OrderEvent as E, OrderState as S, Processing};
    let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    let early = after(now, SignedDuration::from_secs(-1));
    let processing =
        |polls_left, signed| S::Processing(Processing { done_at: now, polls_left, signed });
    let refused = problem(403, "caa", "");
    let states = [
        ("open", S::Open),
        ("polls left", processing(1, Some([1; 16]))),
        ("unsigned", processing(0, None)),
        ("signed", processing(0, Some([1; 16]))),
        ("valid", S::Valid { serial: [1; 16] }),
        ("failed", S::Failed { problem: refused.clone() }),
    ];
    let events = [
        E::Finalized(Processing { done_at: now, polls_left: 1, signed: None }),
        E::Signed([2; 16]),
        E::Refused(refused),
        E::Polled { at: now, stuck: false },
        E::Polled { at: early, stuck: false },
        E::Polled { at: now, stuck: true },
    ];
    let name = |state: &S| match state {
        S::Open => "open",
        S::Processing(_) => "processing",
        S::Valid { .. } => "valid",
        S::Failed { .. } => "failed",
    };
    let rows: Vec<String> = states
        .into_iter()
        .map(|(was, state)| {
            let next =
                events.iter().map(|event| name(&state.clone().next(event.clone())).to_owned());
            format!("{was}: {}", next.collect::<Vec<_>>().join(" "))
        })
        .collect();
    // Columns: finalized, signed, refused, polled, polled early, polled while stuck.
    let expected = [
        "open: processing open open open open open",
        "polls left: processing processing failed processing processing processing",
        "unsigned: processing processing failed processing processing processing",
        "signed: processing processing failed valid processing processing",
        "valid: valid valid valid valid valid valid",
        "failed: failed failed failed failed failed failed",
    ];
    assert_eq!(rows, expected);
}

#[test]
fn every_state_of_an_authorization_meets_every_event() {
    use authorization::{AuthorizationEvent as E, AuthorizationState as S};
    use perennial_core::words::ChallengeKind::{Dns01, Http01};
    let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    let states = [
        S::Pending,
        S::Validating(Dns01),
        S::Valid { by: Some(Dns01), validated_at: now },
        S::Invalid { by: Dns01, problem: refused() },
        S::Deactivated,
    ];
    let events =
        [E::Responded(Http01), E::Passed { at: now }, E::Failed(refused()), E::Deactivated];
    let name = |state: &S| match state {
        S::Pending => "pending".to_owned(),
        S::Validating(kind) => format!("validating {}", kind.as_str()),
        S::Valid { .. } => "valid".to_owned(),
        S::Invalid { .. } => "invalid".to_owned(),
        S::Deactivated => "deactivated".to_owned(),
    };
    let row = |state: &S| {
        let next = events.iter().map(|event| name(&state.clone().next(event.clone())));
        next.collect::<Vec<_>>().join(", ")
    };
    // Columns: responded by http-01, passed, failed, deactivated.
    let expected = [
        "validating http-01, pending, pending, deactivated",
        "validating dns-01, valid, invalid, deactivated",
        "valid, valid, valid, deactivated",
        "invalid, invalid, invalid, invalid",
        "deactivated, deactivated, deactivated, deactivated",
    ];
    assert_eq!(states.iter().map(row).collect::<Vec<_>>(), expected);
}

#[test]
fn a_leaf_says_what_was_ordered_and_is_found_by_its_renewal_name() {
    let mut bench = Bench::new();
    let new = NewOrder {
        profile: Some("shortlived".into()),
        ..bench.new_order("b.test a.test 192.0.2.1")
    };
    let (_, leaf) = bench.issue(new);
    let facts = leaf.facts();
    assert_eq!(facts.identifiers, ids("192.0.2.1 a.test b.test"));
    assert_eq!(facts.validity.lifetime(), hours(160) - SignedDuration::from_secs(1));
    let request = CaRequest::RenewalInfo { leaf: facts.ari_id.unwrap() };
    let Ok(CaFact::RenewalInfo(info)) = bench.ask(&request).body else { panic!() };
    // Half of the lifetime is left in the middle of the window, since it is under ten days.
    let middle = info.window.at(Permille::new(500));
    let share = middle.duration_since(leaf.validity.not_before).as_secs_f64();
    assert!((share / leaf.validity.lifetime().as_secs_f64() - 0.5).abs() < 0.01);
    assert_eq!(bench.ask(&request).retry_after, Some(hours(6)));
}

#[test]
fn a_failed_validation_shows_in_the_authorization_and_not_in_the_order() {
    let (mut bench, order) = in_state("failed");
    assert_eq!(order_of(bench.poll(&order.url)).error, None);
    let authorization = bench.look(&order.authorizations[0]);
    assert_eq!(authorization.challenges.len(), 1);
    assert_eq!(authorization.challenges[0].error, Some(refused()));
}

#[test]
fn what_is_claimed_by_a_living_order_cannot_be_replaced_again() {
    let mut bench = Bench::new();
    let (_, leaf) = bench.issue(bench.new_order("a.test"));
    let replace = |bench: &Bench, names| NewOrder {
        replaces: Some(leaf.ari_id.clone()),
        ..bench.new_order(names)
    };
    let request = CaRequest::NewOrder(replace(&bench, "a.test b.test"));
    let first = order_of(bench.ask(&request));
    assert_eq!(first.replaces, Some(leaf.ari_id.clone()));
    assert_eq!(short(&bench.ask(&request)), "409 alreadyReplaced");
    // Without `replaces` the order that was lost is given again.
    assert_eq!(bench.order("a.test b.test").url, first.url);
    // An order that failed frees the claim.
    bench.respond(&first);
    bench.settle(&Err(refused()));
    assert_eq!(short(&bench.ask(&request)), "201 pending");
}

#[test]
fn replaces_is_refused_for_leaves_unknown_foreign_or_of_other_names() {
    let mut bench = Bench::new();
    let (_, leaf) = bench.issue(bench.new_order("a.test"));
    let ask = |bench: &mut Bench, leaf: &AriCertId, names| {
        let new = NewOrder { replaces: Some(leaf.clone()), ..bench.new_order(names) };
        short(&bench.ask(&CaRequest::NewOrder(new)))
    };
    let unknown = AriCertId("AAEC.AAEC".into());
    assert_eq!(ask(&mut bench, &unknown, "a.test"), "404 malformed");
    assert_eq!(ask(&mut bench, &leaf.ari_id, "b.test"), "400 malformed");
    bench.account = bench.register("another");
    assert_eq!(ask(&mut bench, &leaf.ari_id, "a.test"), "403 unauthorized");
}

#[test]
fn the_sixth_leaf_for_the_same_names_in_a_week_is_refused_except_in_its_window() {
    let mut bench = Bench::new();
    let leaves: Vec<IssuedLeaf> =
        (0..5).map(|_| bench.issue(bench.new_order("a.test")).1).collect();
    let answer = bench.ask(&CaRequest::NewOrder(bench.new_order("a.test")));
    assert_eq!(short(&answer), "429 rateLimited");
    assert!(answer.retry_after.unwrap() > hours(33));
    let open = perennial_core::words::SuggestedWindow {
        start: after(bench.now, hours(-1)),
        end: after(bench.now, hours(1)),
    };
    let leaf = &leaves[0].ari_id;
    bench.ca.suggest(leaf, Some((open, None)));
    let new = NewOrder { replaces: Some(leaf.clone()), ..bench.new_order("a.test") };
    assert_eq!(short(&bench.ask(&CaRequest::NewOrder(new.clone()))), "201 pending");
    // The window of an incident lies in the past: no exemption.
    bench.ca.forget_orders();
    bench.ca.suggest(leaf, None);
    bench.ca.faults.incident = Some("https://ca.test/incident".into());
    assert_eq!(short(&bench.ask(&CaRequest::NewOrder(new))), "429 rateLimited");
}

#[test]
fn the_sixth_order_after_five_failures_in_an_hour_is_refused() {
    let mut bench = Bench::new();
    for _ in 0..5 {
        let order = bench.order("a.test");
        bench.respond(&order);
        bench.settle(&Err(refused()));
    }
    let answer = bench.ask(&CaRequest::NewOrder(bench.new_order("a.test")));
    assert_eq!(short(&answer), "429 rateLimited");
    assert_eq!(answer.retry_after, Some(SignedDuration::from_mins(12)));
    assert_eq!(short(&bench.ask(&CaRequest::NewOrder(bench.new_order("b.test")))), "201 pending");
}

#[test]
fn a_pause_has_no_end_of_its_own_and_comes_before_renewal_information() {
    let mut bench = Bench::new();
    let (_, leaf) = bench.issue(bench.new_order("a.test"));
    bench.ca.faults.paused.insert(id("a.test"));
    let new = NewOrder { replaces: Some(leaf.ari_id), ..bench.new_order("a.test") };
    let answer = bench.ask(&CaRequest::NewOrder(new.clone()));
    assert_eq!((short(&answer).as_str(), answer.retry_after), ("429 rateLimited", None));
    bench.ca.unpause();
    assert_eq!(short(&bench.ask(&CaRequest::NewOrder(new))), "201 pending");
}

#[test]
fn while_nothing_new_can_be_validated_old_validations_still_serve() {
    let mut bench = Bench::new();
    bench.issue(bench.new_order("a.test"));
    bench.ca.faults.outage = Outage::NewAuthorizations;
    assert_eq!(
        short(&bench.ask(&CaRequest::NewOrder(bench.new_order("b.test")))),
        "500 serverInternal"
    );
    assert_eq!(bench.order("a.test").status, OrderStatus::Ready);
    bench.ca.faults.outage = Outage::Unavailable;
    assert_eq!(short(&bench.ask(&CaRequest::Directory)), "503 serverInternal");
    bench.ca.faults.outage = Outage::Unreachable;
    let reply = bench.ca.ask(&CaRequest::Directory, bench.now);
    assert_eq!(reply.delivery, Delivery::Unreachable);
}

#[test]
fn old_validations_are_used_again_only_far_from_their_end_and_recheck_caa() {
    let mut bench = Bench::new();
    bench.ca.config.reuse = Permille::new(1000);
    bench.issue(bench.new_order("a.test"));
    bench.now = after(bench.now, hours(8));
    let order = bench.order("a.test");
    assert_eq!(order.status, OrderStatus::Ready);
    bench.finalize(&order, "a.test");
    let effects: Vec<CaEffect> = bench.ca.effects().collect();
    let [CaEffect::Issue { recheck_caa, .. }] = &effects[..] else { panic!("{effects:?}") };
    let [recheck] = &**recheck_caa else { panic!("{recheck_caa:?}") };
    assert_eq!((recheck.identifier.as_str(), &recheck.account), ("a.test", &bench.account));
    bench.now = after(bench.now, hours(30 * 24 - 8 - 20));
    assert_eq!(bench.order("a.test").status, OrderStatus::Pending, "20 hours are too few");
}

#[test]
fn forbidden_names_are_told_apart_only_if_there_are_several() {
    let mut bench = Bench::new();
    bench.ca.config.forbidden = Box::new(["bank.test".into()]);
    let one = bench.ask(&CaRequest::NewOrder(bench.new_order("a.test www.bank.test")));
    let one = one.body.unwrap_err();
    assert!(one.subproblems.is_empty() && one.detail.contains("www.bank.test"));
    let two = bench.ask(&CaRequest::NewOrder(bench.new_order("bank.test *.bank.test a.test")));
    let two = two.body.unwrap_err();
    let named: Vec<_> = two.subproblems.iter().filter_map(|sub| sub.identifier.clone()).collect();
    assert_eq!(named[..], ids("*.bank.test bank.test")[..]);
}

#[test]
fn a_wildcard_is_proven_in_dns_alone_and_an_address_never() {
    let mut bench = Bench::new();
    let new =
        NewOrder { profile: Some("shortlived".into()), ..bench.new_order("*.a.test 192.0.2.1") };
    let order = order_of(bench.ask(&CaRequest::NewOrder(new)));
    let kinds: Vec<String> = order
        .authorizations
        .iter()
        .map(|url| {
            let facts = bench.look(url);
            let kinds: Vec<&str> = facts.challenges.iter().map(|c| c.kind.as_str()).collect();
            format!("{} {} {}", facts.identifier, facts.wildcard, kinds.join(","))
        })
        .collect();
    assert_eq!(
        kinds,
        ["a.test true dns-01,dns-account-01,dns-persist-01", "192.0.2.1 false http-01,tls-alpn-01"]
    );
}

#[test]
fn accounts_are_found_by_key_bound_once_ended_and_forgotten() {
    let mut bench = Bench::new();
    assert_eq!(bench.register("thumb"), bench.account, "the same key is the same account");
    let deactivate = CaRequest::Account { account: bench.account.clone(), deactivate: true };
    assert_eq!(bench.ask(&deactivate).status, 200);
    let order = CaRequest::NewOrder(bench.new_order("a.test"));
    assert_eq!(short(&bench.ask(&order)), "403 unauthorized");
    bench.ca.restart();
    assert_eq!(short(&bench.ask(&order)), "400 accountDoesNotExist");
    bench.ca.config.external_accounts.insert("kid".into());
    let unbound = NewAccount { thumbprint: "x".into(), agreed: true, ..NewAccount::default() };
    let bound = NewAccount { eab: Some("kid".into()), ..unbound.clone() };
    let second = NewAccount { thumbprint: "y".into(), ..bound.clone() };
    let answers =
        [unbound, bound, second].map(|new| short(&bench.ask(&CaRequest::NewAccount(new))));
    assert_eq!(answers, ["403 externalAccountRequired", "201 ok", "403 unauthorized"]);
}

#[test]
fn the_same_seed_makes_the_same_run() {
    let run = || {
        let mut bench = Bench::new();
        bench.ca.faults.bad_nonces = Permille::new(300);
        let request = CaRequest::NewOrder(bench.new_order("a.test"));
        (0..50).map(|_| short(&bench.ask(&request))).collect::<Vec<_>>()
    };
    let first = run();
    assert_eq!(first, run());
    assert!(first.iter().any(|answer| answer == "400 badNonce"));
}

#[test]
fn a_lost_answer_leaves_its_effect() {
    let mut bench = Bench::new();
    bench.ca.faults.lost_answers = Permille::new(1000);
    let request = CaRequest::NewOrder(bench.new_order("a.test"));
    assert_eq!(bench.ca.ask(&request, bench.now).delivery, Delivery::Lost);
    bench.ca.faults.lost_answers = Permille::new(0);
    let before = bench.ca.orders.len();
    bench.order("a.test");
    assert_eq!(bench.ca.orders.len(), before, "the order that was lost is given again");
}
