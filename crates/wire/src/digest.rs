//! Digests.

use aws_lc_rs::digest::{SHA256, digest};

/// Returns the SHA-256 of bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    // The digest of SHA-256 has 32 bytes: the copy is whole.
    for (to, from) in out.iter_mut().zip(digest(&SHA256, bytes).as_ref()) {
        *to = *from;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use perennial_core::words::Fingerprint;

    #[test]
    fn the_digest_is_sha_256() {
        let text = Fingerprint(sha256(b"abc")).to_string();
        assert_eq!(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
