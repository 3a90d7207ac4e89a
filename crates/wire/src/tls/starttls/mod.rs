//! What is said in the clear before TLS begins, in protocols that do so by agreement.
//!
//! ```text
//! connect ──▶ greeting ──▶ offer? ──▶ "begin TLS" ──▶ consent ──▶ handshake
//! ```
//!
//! Whoever is on the way can say whatever he likes in the clear, so that nothing heard here is
//! believed beyond "TLS may begin". The complications, and how each is met:
//! - A server that never comes to an end: what is heard is bounded as a whole and line by line, and
//!   the caller bounds the time.
//! - Words put in after the server's consent, to be taken for something said under TLS
//!   (CVE-2011-0411 and its kin): nothing may come between consent and handshake, and what does is
//!   told.
//! - A server that offers no TLS, refuses it, or refuses to talk at all: each says so in its own
//!   words, which are quoted.
//! - Deliberately absent: logging in, falling back to clear text, asking a second time.

mod ldap;
mod lines;
mod postgresql;
mod talk;
mod xmpp;

use perennial_core::words::{Identifier, Protocol};
use tokio::net::TcpStream;

use super::TlsError;
use talk::Talk;

/// Says what makes TLS begin on this connection; for a protocol that begins with it, nothing.
///
/// # Errors
///
/// Returns why TLS does not begin.
pub(super) async fn begin(
    stream: &mut TcpStream,
    protocol: Protocol,
    name: &Identifier,
) -> Result<(), TlsError> {
    let mut talk = Talk::new(stream, protocol);
    match protocol {
        Protocol::Tls => return Ok(()),
        Protocol::Smtp => lines::smtp(&mut talk).await,
        Protocol::Imap => lines::imap(&mut talk).await,
        Protocol::Pop3 => lines::pop3(&mut talk).await,
        Protocol::Ftp => lines::ftp(&mut talk).await,
        Protocol::Ldap => ldap::begin(&mut talk).await,
        Protocol::Postgresql => postgresql::begin(&mut talk).await,
        Protocol::Xmpp => xmpp::begin(&mut talk, name, "jabber:client").await,
        Protocol::XmppServer => xmpp::begin(&mut talk, name, "jabber:server").await,
    }?;
    talk.over()
}
