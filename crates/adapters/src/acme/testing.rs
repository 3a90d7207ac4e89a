//! What the tests of this room share.

use perennial_wire::http::Response;

/// An answer of a CA whose pages lie under `https://ca.test/acme/`.
pub(super) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    Response::of(status, "https://ca.test/acme/here", headers, body.as_bytes())
}
