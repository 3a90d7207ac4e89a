//! Revoking a leaf: by the account that ordered it, or by its own key.
//!
//! Source: RFC 8555 section 7.6.

use perennial_core::action::AccountRef;
use perennial_core::words::{BundleId, Name, RevocationReason};
use perennial_wire::key::KeyPair;
use perennial_wire::x509::Chain;

use super::classify::{Step, Trouble};
use super::exchange::Stopped;
use super::jws::Signer;
use super::{Client, problem, request};

const STEP: Step = Step::Revoke;

impl Client {
    /// Has a leaf revoked. One that is revoked already is as it should be: after a lost answer the
    /// CA is told again.
    pub(super) async fn revoke(
        &self,
        issuer: &Name,
        account: Option<&AccountRef>,
        bundle: BundleId,
        reason: RevocationReason,
    ) -> Result<(), Stopped> {
        self.must_be_ours(STEP, issuer)?;
        let ours = |error: String| Stopped::ours(STEP, error);
        let bundle = self.shelf.bundle(bundle).map_err(|e| ours(e.to_string()))?;
        let chain = Chain::from_pem(bundle.leaf_pem.as_bytes()).map_err(|e| ours(e.to_string()))?;
        let not_offered = || Stopped::new(STEP, Trouble::NotOffered("revocation"));
        let url = self.directory().await?.revoke_cert.clone().ok_or_else(not_offered)?;
        let payload = request::revoke(chain.leaf(), reason);
        let answer = match account {
            Some(account) => self.post_as(STEP, account, &url, &payload).await,
            None => {
                let key = KeyPair::from_pem(&bundle.key_pem).map_err(|e| ours(e.to_string()))?;
                self.post(STEP, &key, Signer::Stranger, &url, &payload).await
            }
        };
        match answer {
            Ok(_) => Ok(()),
            Err(stopped) if is_revoked_already(&stopped) => Ok(()),
            Err(stopped) => Err(stopped),
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc8555#section-7.6
fn is_revoked_already(stopped: &Stopped) -> bool {
    let Trouble::Refused(answer) = &stopped.trouble else { return false };
    stopped.step == STEP
        && problem::of_answer(answer).is_some_and(|problem| &*problem.kind == "alreadyRevoked")
}
