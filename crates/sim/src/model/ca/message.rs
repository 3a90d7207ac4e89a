//! What is asked of the CA, what it answers, and what it needs from its surroundings.
//!
//! This is ACME at the level of meaning: signatures, nonces and JSON are the skin's. An URL is
//! opaque to clients and is made and read by the model.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use perennial_core::words::{
    AccountFacts, AriCertId, AuthorizationFacts, ChallengeFacts, ChallengeKind, DirectoryFacts,
    Fingerprint, Identifier, KeyId, KeyKind, LeafFacts, Link, OrderFacts, Problem,
    RenewalInfoFacts, Traits, Url, Validity,
};

/// What is asked of the CA. Requests with an `account` are signed by that account's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaRequest {
    /// RFC 8555 section 7.1.1.
    Directory,
    /// RFC 8555 section 7.3.
    NewAccount(NewAccount),
    /// POST to an account: looks at it, or ends it (RFC 8555 sections 7.3.2, 7.3.6).
    Account {
        /// Who asks, and which.
        account: Url,
        /// Whether to end it.
        deactivate: bool,
    },
    /// Gives an account another key (RFC 8555 section 7.3.5). That the new key agrees is the
    /// skin's to check.
    KeyChange {
        /// Whose.
        account: Url,
        /// The new key's thumbprint.
        thumbprint: Box<str>,
    },
    /// RFC 8555 section 7.4.
    NewOrder(NewOrder),
    /// POST-as-GET of an order.
    Order {
        /// Who asks.
        account: Url,
        /// Which.
        order: Url,
    },
    /// POST-as-GET of an authorization, or ending it (RFC 8555 section 7.5.2).
    Authorization {
        /// Who asks.
        account: Url,
        /// Which.
        authorization: Url,
        /// Whether to end it.
        deactivate: bool,
    },
    /// POST-as-GET of a challenge.
    Challenge {
        /// Who asks.
        account: Url,
        /// Which.
        challenge: Url,
    },
    /// RFC 8555 section 7.5.1.
    Respond {
        /// Who asks.
        account: Url,
        /// Which.
        challenge: Url,
    },
    /// RFC 8555 section 7.4, "finalize".
    Finalize {
        /// Who asks.
        account: Url,
        /// The order's finalize URL.
        finalize: Url,
        /// What the CSR says; its signature is the skin's to check.
        csr: Csr,
    },
    /// RFC 8555 section 7.4.2.
    Certificate {
        /// Who asks.
        account: Url,
        /// Which.
        certificate: Url,
    },
    /// RFC 9773 section 4.1; unsigned.
    RenewalInfo {
        /// Of which leaf.
        leaf: AriCertId,
    },
    /// RFC 8555 section 7.6.
    Revoke {
        /// Who asks; without an account, it was signed by the leaf's own key.
        account: Option<Url>,
        /// The serial number's octets.
        serial: Serial,
    },
}

/// What a newAccount says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewAccount {
    /// Base64url of the key's thumbprint (RFC 7638).
    pub thumbprint: Box<str>,
    /// `termsOfServiceAgreed`.
    pub agreed: bool,
    /// `onlyReturnExisting`.
    pub only_existing: bool,
    /// The key id of an external account binding whose MAC the skin found right.
    pub eab: Option<Box<str>>,
}

/// What a newOrder says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOrder {
    /// Who asks.
    pub account: Url,
    /// For which names.
    pub identifiers: Arc<[Identifier]>,
    /// Under which profile.
    pub profile: Option<Box<str>>,
    /// Which leaf is replaced.
    pub replaces: Option<AriCertId>,
}

/// What a CSR says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csr {
    /// Its names.
    pub identifiers: Arc<[Identifier]>,
    /// Its key.
    pub key: KeyId,
    /// What kind of key that is.
    pub key_kind: KeyKind,
}

/// A serial number: its DER value octets, with a leading zero where the first bit would be set.
pub type Serial = [u8; 16];

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaReply {
    /// How long the CA takes over it.
    pub after: SignedDuration,
    /// What the client meets.
    pub delivery: Delivery,
}

/// What the client meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// An answer.
    Answer(Box<CaAnswer>),
    /// The request took effect, and the connection broke before the answer.
    Lost,
    /// No connection: the request took no effect.
    Unreachable,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaAnswer {
    /// The HTTP status.
    pub status: u16,
    /// `Retry-After`, rounded up to seconds by the skin. Instants in the facts agree with it.
    pub retry_after: Option<SignedDuration>,
    /// What it says.
    pub body: Result<CaFact, Problem>,
}

/// What a good answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaFact {
    /// To `Directory`.
    Directory(DirectoryFacts),
    /// To `NewAccount` and `Account`.
    Account(AccountFacts),
    /// To `NewOrder`, `Order` and `Finalize`.
    Order(OrderFacts),
    /// To `Authorization`.
    Authorization(AuthorizationFacts),
    /// To `Challenge` and `Respond`.
    Challenge(ChallengeFacts),
    /// To `Certificate`.
    Certificate(IssuedLeaf),
    /// To `RenewalInfo`.
    RenewalInfo(RenewalInfoFacts),
    /// To `Revoke` and `KeyChange`.
    Done,
}

/// A leaf that the CA has issued: all that its DER is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedLeaf {
    /// Its serial number.
    pub serial: Serial,
    /// Its names, in the order's order.
    pub identifiers: Arc<[Identifier]>,
    /// From when to when.
    pub validity: Validity,
    /// The key it certifies.
    pub key: KeyId,
    /// How renewal information calls it.
    pub ari_id: AriCertId,
    /// Under which profile.
    pub profile: Box<str>,
    /// The issuer's name.
    pub issued_by: Arc<str>,
    /// The earliest end of the certificates above it.
    pub chain_not_after: Timestamp,
    /// What kind of key it certifies.
    pub key_kind: KeyKind,
    /// Whether it may prove clients too.
    pub for_clients: bool,
    /// The name of the root above.
    pub root: Box<str>,
}

impl IssuedLeaf {
    /// Returns the facts that an honest reader of its DER would report. The fingerprint stands for
    /// the DER that a simulation does not make.
    #[must_use]
    pub fn facts(&self) -> LeafFacts {
        let mut digest = [0; 32];
        for (place, byte) in digest.iter_mut().zip(self.serial.iter().chain(&self.key.0)) {
            *place = *byte;
        }
        let mut identifiers = self.identifiers.to_vec();
        identifiers.sort();
        LeafFacts {
            fingerprint: Fingerprint(digest),
            key: self.key,
            identifiers: identifiers.into(),
            validity: self.validity,
            chain_not_after: self.chain_not_after,
            issued_by: self.issued_by.clone(),
            ari_id: Some(self.ari_id.clone()),
            for_servers: true,
            chain_in_order: true,
            traits: Some(Arc::new(Traits {
                key_kind: self.key_kind,
                for_clients: self.for_clients,
                above: [self.intermediate()].into(),
                root: self.root.clone(),
            })),
            trusted: None,
        }
    }

    /// Returns the certificate above it: another name below another root is another one, and each
    /// has a key of its own. The digests stand for DER that a simulation does not make.
    fn intermediate(&self) -> Link {
        let mut digest = [0; 32];
        for (index, byte) in self.issued_by.bytes().chain(self.root.bytes()).enumerate() {
            if let Some(place) = digest.get_mut(index % 32) {
                *place = byte.wrapping_add(u8::rotate_left(*place, 3));
            }
        }
        Link { fingerprint: Fingerprint(digest), key: KeyId(digest.map(|byte| !byte)) }
    }
}

/// What the CA needs from its surroundings. Each is answered once, whenever that is; one that is
/// never answered leaves the challenge or the order `processing`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaEffect {
    /// Validate a challenge and evaluate CAA; answered with [`super::Ca::verdict`].
    Validate(Validation),
    /// Sign a leaf; answered with [`super::Ca::issued`].
    Issue {
        /// For which order.
        order: OrderId,
        /// What to sign.
        leaf: IssuedLeaf,
        /// Names whose CAA records must be evaluated again, since their validation is old.
        recheck_caa: Box<[CaaRecheck]>,
    },
}

/// A name whose CAA records must be evaluated again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaaRecheck {
    /// Which name.
    pub identifier: Identifier,
    /// Whose order.
    pub account: Url,
    /// How the name was validated.
    pub kind: ChallengeKind,
}

/// Which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrderId(pub u64);

/// Which authorization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuthorizationId(pub u64);

/// A validation to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validation {
    /// Whose challenge.
    pub authorization: AuthorizationId,
    /// How.
    pub kind: ChallengeKind,
    /// Which name; a wildcard keeps its `*.`, since CAA differs for it (RFC 8659 section 4.3).
    pub identifier: Identifier,
    /// The token.
    pub token: Box<str>,
    /// The account key's thumbprint.
    pub thumbprint: Box<str>,
    /// The account, for CAA `accounturi` (RFC 8657).
    pub account: Url,
}

impl Validation {
    /// Returns the key authorization.
    ///
    /// Source: RFC 8555 section 8.1.
    #[must_use]
    pub fn key_authorization(&self) -> String {
        format!("{}.{}", self.token, self.thumbprint)
    }
}
