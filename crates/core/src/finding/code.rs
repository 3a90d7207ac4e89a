//! The stable codes of findings; each has a page in `docs/causes/`.

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $advice:literal;)*) => {
        /// Which kind of finding.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)*
        }

        impl Code {
            /// Every code there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the code as users see it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// Returns what to do next, in one sentence without a full stop.
            #[must_use]
            pub const fn advice(self) -> &'static str {
                match self {
                    $(Self::$variant => $advice,)*
                }
            }
        }
    };
}

codes! {
    /// The CA says our account is not usable.
    AccountRefused = "account.refused",
        "read what the CA says below; an unpause link or new EAB credentials may be needed";
    /// The CA gave our key another account URL than before.
    AccountChanged = "account.changed",
        "update `accounturi` in CAA records that name the former account, then: perennial confirm";
    /// The CA says its CAA records forbid it to issue.
    CaaForbidsIssuer = "caa.forbids-issuer",
        "allow this CA in the zone's CAA records, or declare an issuer that they allow";
    /// The CA's API fails.
    CaFailing = "ca.failing",
        "it is asked again by itself; see whether the cause below is the CA's (its status page) or lies between: roots, route, proxy";
    /// The CA refuses for now, because too much was asked of it.
    CaRateLimited = "ca.rate-limited",
        "nothing to do: it is tried again when the CA allows it";
    /// The CA refuses the order for a reason of its own.
    CaRefuses = "ca.refuses",
        "read what the CA says below";
    /// The certificate is in the configuration no more, and is renewed all the same.
    CertificateUndeclared = "certificate.undeclared",
        "declare it again, or retire it";
    /// A declaration that drops many certificates waits for a person.
    ConfigRemovalHeld = "config.removal-held",
        "if it is meant, confirm it: perennial confirm; if not, put the certificates back";
    /// The newest configuration was refused; the last good one is in force.
    ConfigRefused = "config.refused",
        "see what is wrong: perennial plan";
    /// The name's DNS fails the CA.
    DnsLookupFailed = "dns.lookup-failed",
        "ask every nameserver of the zone as the CA does: perennial check NAME";
    /// The authoritative servers do not show what the solver wrote.
    DnsAnswerInvisible = "dns.answer-invisible",
        "compare who serves the zone with where the solver writes: perennial check NAME";
    /// Some authoritative servers showed an answer too late, and the CA was told all the same.
    DnsServerLags = "dns.server-lags",
        "mend the transfer to the servers named below: the CA may ask them next time";
    /// The zone's server refuses our update.
    DnsUpdateRefused = "dns.update-refused",
        "check the solver's key and its rights on the zone";
    /// Nothing valid for the name is served at an endpoint.
    EndpointExpired = "endpoint.expired",
        "see what is served: perennial check NAME; a server that was not reloaded is the usual cause";
    /// An endpoint's leaf is not valid yet.
    EndpointNotYetValid = "endpoint.not-yet-valid",
        "compare the clocks of this machine and of the CA";
    /// An endpoint serves a leaf for other names.
    EndpointNameMismatch = "endpoint.name-mismatch",
        "see which virtual host answers for this name: perennial check NAME";
    /// An endpoint serves a leaf that no trusted root vouches for.
    EndpointUntrusted = "endpoint.untrusted",
        "see what is served: perennial check NAME; declare `roots` if the CA is a private one";
    /// An endpoint serves a leaf without the chain it needs.
    EndpointIncompleteChain = "endpoint.incomplete-chain",
        "let the server send the full chain: fullchain.pem, not cert.pem";
    /// An endpoint serves a revoked leaf.
    EndpointRevoked = "endpoint.revoked",
        "find out why its CA revoked it; it is renewed at once, with a new key";
    /// It cannot be looked up for long whether leaves of an issuer are revoked.
    EndpointRevocationUnknown = "endpoint.revocation-unknown",
        "let this machine reach the address below by plain HTTP, and see whether the CA answers there";
    /// A trust store refuses a chain that another one accepts.
    EndpointStoreRefuses = "endpoint.store-refuses",
        "see the chain: perennial check NAME; choose an issuer or a chain that these clients know, or update their roots";
    /// Somebody else's leaf, at an endpoint that is declared to serve one, nears its end.
    EndpointForeignEnds = "endpoint.foreign-ends",
        "ask whoever manages the edge why it is not renewed";
    /// An endpoint cannot be reached.
    EndpointUnreachable = "endpoint.unreachable",
        "check that the address is still the name's, and that the port is open";
    /// An endpoint speaks no TLS.
    EndpointNoTls = "endpoint.no-tls",
        "check the port and the server's configuration";
    /// An endpoint demands a client certificate and shows nothing.
    EndpointClientCertificate = "endpoint.client-certificate",
        "declare another endpoint that shows the same leaf";
    /// Nobody can see what is served: no endpoint is declared.
    EndpointNone = "endpoint.none",
        "declare at least one endpoint, or nothing can be seen";
    /// A leaf went to a target although something spoke against it.
    DeployOverruled = "deploy.overruled",
        "look whether clients broke as said below; then acknowledge it: perennial confirm CERTIFICATE --leaf NUMBER";
    /// A new leaf may not prove clients, as the served one does; it is held.
    LeafNoClientAuth = "leaf.no-client-auth",
        "give what connects out another certificate, or let it pass: perennial confirm CERTIFICATE --leaf NUMBER";
    /// A new leaf's key is of another kind than the served one's; it is held.
    LeafKeyKindChanged = "leaf.key-kind-changed",
        "declare the `key` that clients need, or let it pass: perennial confirm CERTIFICATE --leaf NUMBER";
    /// The leaf's chain does not end at the declared root.
    LeafOtherChain = "leaf.other-chain",
        "correct or remove `chain`; the next renewal looks again, or now: perennial renew CERTIFICATE --now";
    /// The CA issued under another profile than the one ordered; the leaf is held.
    LeafOtherProfile = "leaf.other-profile",
        "correct the issuer's `profile`, or let it pass: perennial confirm CERTIFICATE --leaf NUMBER";
    /// None of the declared pins fits a new leaf; it is held.
    LeafPinsUnmet = "leaf.pins-unmet",
        "add the pin below to `pins` once clients know it, or let it pass: perennial confirm CERTIFICATE --leaf NUMBER";
    /// A new leaf's root is another than the served one's; it is held.
    LeafRootChanged = "leaf.root-changed",
        "see that clients have the new root, then let it pass: perennial confirm CERTIFICATE --leaf NUMBER";
    /// No TLSA record fits a new leaf; it is held.
    LeafTlsaUnmet = "leaf.tlsa-unmet",
        "publish the TLSA record below beside the present ones, or let it pass: perennial confirm CERTIFICATE --leaf NUMBER";
    /// No root of the local trust store vouches for a new leaf; it is held.
    LeafUntrusted = "leaf.untrusted",
        "declare the issuer's `roots` if the CA is a private one, or let it pass: perennial confirm CERTIFICATE --leaf NUMBER";
    /// A server served worse with the newest leaf than before, and the one before is active again.
    TargetRolledBack = "target.rolled-back",
        "see why its server does not serve the new files as the old ones, mend it, then: perennial renew CERTIFICATE";
    /// The validation of a name fails at the CA.
    NameValidationFailed = "name.validation-failed",
        "read what the CA saw below, then: perennial check NAME";
    /// An order vanished before it was done.
    OrderGone = "order.gone",
        "nothing to do: it is begun anew by itself";
    /// Our own disk, clock, network or configuration is at fault.
    OurselvesFailing = "ourselves.failing",
        "read the cause below: it lies on this machine";
    /// A mistake of Perennial's own: deciding on this broke off.
    OurselvesPanicked = "ourselves.panicked",
        "report this with the evidence below; what else there is goes on, and this is tried again";
    /// Leaves for the same names were issued too often lately.
    IssuanceHeld = "issuance.held",
        "see what they were for: perennial journal; to have one now: perennial renew CERTIFICATE --now";
    /// A record of this stream cannot be folded.
    JournalQuarantined = "journal.quarantined",
        "restore the store from a backup, or report this with the record named below";
    /// A leaf is to be revoked and is not yet.
    RevocationOwed = "revocation.owed",
        "see what still shows it: perennial status CERTIFICATE; to revoke it before all is replaced: perennial revoke CERTIFICATE --now";
    /// A solver fails.
    SolverFailing = "solver.failing",
        "check the solver's credential and server";
    /// The store was restored from a backup, and nobody has resumed.
    StoreRestored = "store.restored",
        "see that the instance that was backed up runs no more, then: perennial resume";
    /// A target cannot be written or reloaded.
    TargetFailing = "target.failing",
        "read the cause below; it is tried again by itself";
    /// Bundles of the past, with their keys, could not be removed at a target.
    TargetLeftovers = "target.leftovers",
        "remove the folders named below, and see why Perennial may not: owner, mode, attributes";
    /// A target holds somebody else's newer leaf, which is left alone.
    TargetNewerLeaf = "target.newer-leaf",
        "decide who manages this target: `take_over = true`, or remove it from the certificate";
    /// A target serves an old leaf although it was told of the new one.
    TargetNotReloaded = "target.not-reloaded",
        "reload the server by hand and check the target's `reload` command";
    /// A server's configuration does not show clients what is installed at a target.
    TargetNotServed = "target.not-served",
        "change the server's configuration as is said below, and reload it";
    /// A target's files are somebody else's.
    TargetNotOurs = "target.not-ours",
        "declare `take_over = true` on the target to let Perennial manage them (they are copied first)";
    /// A target cannot be looked at.
    TargetUnreadable = "target.unreadable",
        "read the cause below; it is looked at again by itself";
    /// Nobody looks where a target is declared to serve.
    TargetUnwatched = "target.unwatched",
        "declare an endpoint with `connect_to` for the address, or correct the target's `serves_at`";
    /// A challenge answer could not be withdrawn.
    WithdrawalFailing = "withdrawal.failing",
        "remove the challenge answer named below by hand; once it is gone, or does not matter: perennial confirm";
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn every_code_is_its_own_and_has_an_advice() {
        let texts: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| !code.advice().is_empty()));
    }
}
