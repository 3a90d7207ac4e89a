//! Issued leaves, and when the CA would like them to be renewed.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use perennial_core::words::{
    AriCertId, Identifier, OrderStatus, RenewalInfoFacts, SuggestedWindow, Url, after,
};

use super::Ca;
use super::account::AccountId;
use super::message::{CaAnswer, CaFact, IssuedLeaf, OrderId, Serial};
use super::problem::{
    Answered, Refusal, gone, good, malformed, problem, unauthorized, unavailable,
};

/// A leaf that was issued, and what became of it.
#[derive(Clone, Debug)]
pub(super) struct Issued {
    account: AccountId,
    leaf: IssuedLeaf,
    /// The newest order that claims to replace it.
    replaced_by: Option<OrderId>,
    revoked: bool,
    /// What renewal information says instead of the truth.
    suggested: Option<(SuggestedWindow, Option<Url>)>,
}

impl Issued {
    pub(super) const fn new(account: AccountId, leaf: IssuedLeaf) -> Self {
        Self { account, leaf, replaced_by: None, revoked: false, suggested: None }
    }
}

impl Ca {
    /// Makes renewal information of a leaf say something of its own, or the usual again. Nothing is
    /// checked, so that nonsense can be said as well.
    pub fn suggest(&mut self, leaf: &AriCertId, window: Option<(SuggestedWindow, Option<Url>)>) {
        if let Some(serial) = self.serial_of(leaf)
            && let Some(issued) = self.leaves.get_mut(&serial)
        {
            issued.suggested = window;
        }
    }

    /// Revokes a leaf, for reasons of the CA's own.
    pub fn revoke_leaf(&mut self, serial: &Serial) {
        if let Some(issued) = self.leaves.get_mut(serial) {
            issued.revoked = true;
            self.has_revoked = true;
        }
    }

    /// Returns whether a leaf of this CA is revoked.
    #[must_use]
    pub fn is_revoked(&self, leaf: &AriCertId) -> bool {
        // Asked at every look at every endpoint; next to no CA has any.
        if !self.has_revoked {
            return false;
        }
        let found = self.serial_of(leaf).and_then(|serial| self.leaves.get(&serial));
        found.is_some_and(|issued| issued.revoked)
    }

    /// Returns every leaf issued, in the order of serial numbers, and whether it is revoked.
    pub fn issued_leaves(&self) -> impl Iterator<Item = (&IssuedLeaf, bool)> {
        self.leaves.values().map(|issued| (&issued.leaf, issued.revoked))
    }

    pub(super) fn keep_leaf(&mut self, issued: Issued) {
        self.leaves.insert(issued.leaf.serial, issued);
    }

    /// Returns how renewal information calls a leaf.
    ///
    //= https://www.rfc-editor.org/rfc/rfc9773#section-4.1
    pub(super) fn ari_id(&self, serial: &Serial) -> AriCertId {
        let part = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        AriCertId(format!("{}.{}", part(&self.config.authority_key_id), part(serial)).into())
    }

    pub(crate) fn serial_of(&self, leaf: &AriCertId) -> Option<Serial> {
        let (issuer, serial) = leaf.0.split_once('.')?;
        let decode = |text| BASE64_URL_SAFE_NO_PAD.decode(text).ok();
        if decode(issuer)? != *self.config.authority_key_id {
            return None;
        }
        decode(serial)?.try_into().ok()
    }

    pub(super) fn certificate_url(&self, serial: &Serial) -> Url {
        let mut hex = String::with_capacity(32);
        for byte in serial {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        self.url("cert", &hex)
    }

    pub(super) fn certificate(&self, account: &Url, url: &Url) -> Answered {
        let signer = self.signer(account)?;
        let hex = self.id_in(url, "cert").unwrap_or_default();
        let serial = u128::from_str_radix(hex, 16).ok().map(u128::to_be_bytes);
        let found = serial.and_then(|serial| self.leaves.get(&serial));
        let found = found.ok_or_else(|| gone("Certificate not found"))?;
        if found.account != signer {
            let detail = "Account in use did not issue specified certificate";
            return Err(unauthorized(detail).into());
        }
        Ok(good(200, CaFact::Certificate(found.leaf.clone())))
    }

    pub(super) fn revoke(&mut self, account: Option<&Url>, serial: &Serial) -> Answered {
        let signer = account.map(|account| self.signer(account)).transpose()?;
        let found = self.leaves.get_mut(serial);
        let found = found.ok_or_else(|| gone("No such certificate"))?;
        if signer.is_some_and(|signer| found.account != signer) {
            let detail = "The key ID specified in the revocation request is not authorized";
            return Err(unauthorized(detail).into());
        }
        if found.revoked {
            return Err(problem(400, "alreadyRevoked", "Certificate already revoked").into());
        }
        found.revoked = true;
        self.has_revoked = true;
        Ok(good(200, CaFact::Done))
    }

    pub(super) fn renewal_info(&self, leaf: &AriCertId, now: Timestamp) -> Answered {
        if self.faults.renewal_info_down {
            return Err(unavailable());
        }
        if !self.config.renewal_info {
            return Err(gone("Not found").into());
        }
        if !leaf.0.contains('.') {
            return Err(malformed("Invalid CertID").into());
        }
        let found = self.serial_of(leaf).and_then(|serial| self.leaves.get(&serial));
        let found =
            found.ok_or_else(|| gone("Certificate replaced by this order was not found"))?;
        let (window, explanation) = self.window(found, now);
        let retry_after = self.config.renewal_poll_after;
        let facts =
            RenewalInfoFacts { window, explanation, retry_at: Some(after(now, retry_after)) };
        Ok(CaAnswer {
            status: 200,
            retry_after: Some(retry_after),
            body: Ok(CaFact::RenewalInfo(facts)),
        })
    }

    /// Returns the window that is suggested now, as Boulder draws it.
    ///
    /// Source: Boulder, core/objects.go (2026-08-07).
    fn window(&self, issued: &Issued, now: Timestamp) -> (SuggestedWindow, Option<Url>) {
        if let Some(suggested) = &issued.suggested {
            return suggested.clone();
        }
        let at_once = SuggestedWindow {
            start: after(now, SignedDuration::from_hours(-1)),
            end: after(now, SignedDuration::from_mins(-30)),
        };
        if let Some(page) = &self.faults.incident {
            return (at_once, Some(Url(page.clone())));
        }
        if issued.revoked {
            return (at_once, None);
        }
        let validity = issued.leaf.validity;
        let lifetime = validity.lifetime();
        let parts = if lifetime < SignedDuration::from_hours(240) { 2 } else { 3 };
        let share = |parts| lifetime.checked_div(parts).unwrap_or_default();
        let centre = after(validity.not_after, -share(parts));
        let half = share(100);
        (SuggestedWindow { start: after(centre, -half), end: after(centre, half) }, None)
    }

    /// Checks `replaces`. Returns whether the order is exempt from rate limits: it is while the
    /// window is open.
    ///
    /// Source: RFC 9773 section 5; Boulder, wfe.go `validateReplacementOrder`.
    pub(super) fn check_replaces(
        &self,
        account: AccountId,
        identifiers: &[Identifier],
        leaf: &AriCertId,
        now: Timestamp,
    ) -> Result<bool, Refusal> {
        let found = self.serial_of(leaf).and_then(|serial| self.leaves.get(&serial));
        let found = found.ok_or_else(|| gone("path contained an unknown serial"))?;
        if found.account != account {
            let detail = "requester account did not request the certificate being replaced";
            return Err(unauthorized(detail).into());
        }
        if !identifiers.iter().any(|name| found.leaf.identifiers.contains(name)) {
            let detail = "identifiers in this order do not match any in the certificate replaced";
            return Err(malformed(detail).into());
        }
        if let Some(order) = found.replaced_by
            && self.claims(order, now)
        {
            let detail = "cannot indicate an order replaces a certificate with a replacement order";
            return Err(problem(409, "alreadyReplaced", detail).into());
        }
        let (window, _) = self.window(found, now);
        Ok(window.start <= now && now < window.end)
    }

    /// Returns whether an order still stands in the way of another replacement: an invalid or
    /// expired one does not.
    fn claims(&self, id: OrderId, now: Timestamp) -> bool {
        let Some(order) = self.orders.get(&id) else { return false };
        match self.status(order, now) {
            OrderStatus::Valid => true,
            OrderStatus::Pending | OrderStatus::Ready | OrderStatus::Processing => {
                self.lives(order, now)
            }
            OrderStatus::Invalid | OrderStatus::Unknown => false,
        }
    }

    /// Marks the leaf that an order replaces.
    pub(super) fn claim(&mut self, id: OrderId) {
        let replaces = self.orders.get(&id).and_then(|order| order.replaces.clone());
        let serial = replaces.and_then(|leaf| self.serial_of(&leaf));
        if let Some(issued) = serial.and_then(|serial| self.leaves.get_mut(&serial)) {
            issued.replaced_by = Some(id);
        }
    }
}
