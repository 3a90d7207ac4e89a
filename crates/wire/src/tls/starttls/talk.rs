//! A conversation in the clear with somebody who may mean ill.

use std::net::{IpAddr, Ipv4Addr};

use perennial_core::words::Protocol;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::tls::TlsError;

/// How long one line may be, in bytes. RFC 5321 section 4.5.3.1.5 has 512; what IMAP servers say of
/// their capabilities is longer.
const MAX_LINE: usize = 8 * 1024;

/// How much is heard before TLS begins, in bytes. Greetings may be long, and have an end.
const MAX_HEARD: usize = 64 * 1024;

/// How many characters of what was said are quoted.
const MAX_QUOTE: usize = 120;

/// A conversation, as far as it has come.
pub(super) struct Talk<'s> {
    stream: &'s mut TcpStream,
    protocol: Protocol,
    /// What has come and was not taken yet.
    ahead: Vec<u8>,
    heard: usize,
}

impl<'s> Talk<'s> {
    pub(super) const fn new(stream: &'s mut TcpStream, protocol: Protocol) -> Self {
        Self { stream, protocol, ahead: Vec::new(), heard: 0 }
    }

    /// Says something, as it stands.
    pub(super) async fn say(&mut self, words: &[u8]) -> Result<(), TlsError> {
        self.stream.write_all(words).await.map_err(|_| self.hung_up())
    }

    /// Hears one line, without its end.
    pub(super) async fn line(&mut self) -> Result<String, TlsError> {
        loop {
            if let Some(end) = self.ahead.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.ahead.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
            }
            if self.ahead.len() > MAX_LINE {
                let text = format!("a line of the server's {} does not end", self.protocol);
                return Err(TlsError::NoTls(text));
            }
            self.hear().await?;
        }
    }

    /// Hears exactly so many bytes.
    pub(super) async fn bytes(&mut self, count: usize) -> Result<Vec<u8>, TlsError> {
        while self.ahead.len() < count {
            self.hear().await?;
        }
        Ok(self.ahead.drain(..count).collect())
    }

    /// Takes from what has come as soon as `find` makes something of it; `find` returns that, and
    /// how many bytes it made it of.
    pub(super) async fn until<T>(
        &mut self,
        find: impl Fn(&[u8]) -> Option<(T, usize)>,
    ) -> Result<T, TlsError> {
        loop {
            if let Some((found, taken)) = find(&self.ahead) {
                self.ahead.drain(..taken.min(self.ahead.len()));
                return Ok(found);
            }
            self.hear().await?;
        }
    }

    /// Hears whatever comes next.
    async fn hear(&mut self) -> Result<(), TlsError> {
        let mut some = [0; 2048];
        let count = self.stream.read(&mut some).await.map_err(|_| self.hung_up())?;
        if count == 0 {
            return Err(self.hung_up());
        }
        self.heard += count;
        if self.heard > MAX_HEARD {
            let text = format!("what the server says in {} does not end", self.protocol);
            return Err(TlsError::NoTls(text));
        }
        self.ahead.extend(some.iter().take(count));
        Ok(())
    }

    /// Ends it: from here on, every word must be of TLS.
    pub(super) fn over(self) -> Result<(), TlsError> {
        let mut more = [0; 256];
        let mut ahead = self.ahead;
        if let Ok(count) = self.stream.try_read(&mut more) {
            ahead.extend(more.iter().take(count));
        }
        if ahead.is_empty() {
            return Ok(());
        }
        Err(TlsError::NoTls(format!(
            "after it agreed to begin TLS the server went on in the clear, with {}: somebody on the \
             way may have put that there",
            quote(&String::from_utf8_lossy(&ahead))
        )))
    }

    /// Returns the address that we have on this connection.
    pub(super) fn own_address(&self) -> IpAddr {
        let unknown = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        self.stream.local_addr().map_or(unknown, |address| address.ip().to_canonical())
    }

    /// Says that somebody else's protocol is spoken there.
    pub(super) fn foreign(&self, said: &str) -> TlsError {
        TlsError::NoTls(format!("what answers is not {}: it said {}", self.protocol, quote(said)))
    }

    /// Says that the server does not want to talk to us, so that nothing is learnt about its TLS.
    pub(super) fn turned_away(&self, said: &str) -> TlsError {
        let text = format!("the server turns us away before TLS, with {}", quote(said));
        TlsError::Unreachable(text)
    }

    /// Says that TLS is not on offer.
    pub(super) fn not_offered(&self) -> TlsError {
        TlsError::NoTls(format!("the server speaks {}, and offers no TLS", self.protocol))
    }

    /// Says that the server refused to begin TLS.
    pub(super) fn refused(&self, said: &str) -> TlsError {
        let protocol = self.protocol;
        let text =
            format!("the server speaks {protocol}, and refused to begin TLS: {}", quote(said));
        TlsError::NoTls(text)
    }

    fn hung_up(&self) -> TlsError {
        TlsError::NoTls(format!("the connection was closed in the middle of {}", self.protocol))
    }
}

/// Quotes what a server said, for a terminal and a journal: bounded, and without control characters.
pub(super) fn quote(said: &str) -> String {
    let said = said.trim_end();
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut text: String = said.chars().take(MAX_QUOTE).map(clean).collect();
    if said.chars().count() > MAX_QUOTE {
        text.push_str("...");
    }
    format!("`{text}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_is_short_and_cannot_control_a_terminal() {
        assert_eq!(quote("454 not now\r\n"), "`454 not now`");
        assert_eq!(quote("\u{1b}[2J\nx"), "`\u{fffd}[2J\u{fffd}x`");
        assert_eq!(quote(&"a".repeat(1000)).len(), MAX_QUOTE + 5);
    }
}
