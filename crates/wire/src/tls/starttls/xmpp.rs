//! XMPP: a stream of XML is opened, and `<starttls/>` asked for inside it.
//!
//! Of XML no more is read than where tags begin and end and what they are called: RFC 6120 section
//! 11.1 forbids comments, processing instructions and document types, and so do we.

use perennial_core::words::Identifier;

use super::talk::Talk;
use crate::tls::TlsError;

/// RFC 6120 section 5.4.2.
pub(super) async fn begin(
    talk: &mut Talk<'_>,
    name: &Identifier,
    namespace: &str,
) -> Result<(), TlsError> {
    let opening = format!(
        "<?xml version='1.0'?><stream:stream to='{name}' xmlns='{namespace}' \
         xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
    );
    talk.say(opening.as_bytes()).await?;
    let first =
        talk.until(|bytes| bytes.iter().find(|b| !b.is_ascii_whitespace()).map(|b| (*b, 0)));
    if first.await? != b'<' {
        let said = talk.line().await?;
        return Err(talk.foreign(&said));
    }
    let mut is_offered = false;
    loop {
        let tag = next(talk).await?;
        match (tag.name.as_str(), tag.kind) {
            ("starttls", _) => is_offered = true,
            ("error", _) => return Err(why(talk).await?),
            ("features", Kind::End | Kind::Empty) => break,
            ("stream", Kind::End | Kind::Empty) => return Err(talk.not_offered()),
            _ => {}
        }
    }
    if !is_offered {
        return Err(talk.not_offered());
    }
    talk.say(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").await?;
    loop {
        let tag = next(talk).await?;
        match (tag.name.as_str(), tag.kind) {
            // Not a single space may follow: RFC 6120 section 5.3.3.
            ("proceed", Kind::End | Kind::Empty) => return Ok(()),
            ("proceed", Kind::Begin) => {}
            _ => return Err(talk.refused(&tag.text)),
        }
    }
}

/// Says why a stream ends: the first element inside `<stream:error>` names it.
async fn why(talk: &mut Talk<'_>) -> Result<TlsError, TlsError> {
    let condition = next(talk).await?;
    Ok(talk.turned_away(&condition.name))
}

async fn next(talk: &mut Talk<'_>) -> Result<Tag, TlsError> {
    match talk.until(tag).await? {
        Ok(tag) => Ok(tag),
        Err(said) => Err(talk.foreign(&said)),
    }
}

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tag {
    /// What it is called, without prefix.
    name: String,
    kind: Kind,
    /// As it came.
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Begin,
    End,
    Empty,
}

/// Finds the next tag that is whole, or what cannot be one, and how many bytes it took.
fn tag(bytes: &[u8]) -> Option<(Result<Tag, String>, usize)> {
    let mut taken = 0;
    // Prologues are passed over in a loop: a stranger says how many there are.
    let text = loop {
        let rest = bytes.get(taken..)?;
        let start = rest.iter().position(|byte| *byte == b'<')?;
        let end = start + 1 + end_of_tag(rest.get(start..)?)?;
        let text = rest.get(start..end)?;
        taken += end;
        if !text.starts_with(b"<?xml ") {
            break String::from_utf8_lossy(text).into_owned();
        }
    };
    let inner = text.trim_start_matches('<').trim_end_matches('>');
    let (kind, inner) = match (inner.strip_prefix('/'), inner.strip_suffix('/')) {
        (Some(inner), _) => (Kind::End, inner),
        (None, Some(inner)) => (Kind::Empty, inner),
        (None, None) => (Kind::Begin, inner),
    };
    let name = inner.split(|c: char| c.is_ascii_whitespace()).next().unwrap_or_default();
    let name = name.rsplit(':').next().unwrap_or_default().to_owned();
    let is_named = name.starts_with(|c: char| c.is_alphabetic());
    Some((if is_named { Ok(Tag { name, kind, text }) } else { Err(text) }, taken))
}

/// Returns the place of the `>` that closes a tag; one within quotes does not.
fn end_of_tag(bytes: &[u8]) -> Option<usize> {
    let mut quote = None;
    for (place, byte) in bytes.iter().enumerate() {
        match (quote, *byte) {
            (None, b'>') => return Some(place),
            (None, b'\'' | b'"') => quote = Some(*byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Option<(String, Kind, usize)> {
        let (tag, taken) = tag(text.as_bytes())?;
        let tag = tag.ok()?;
        Some((tag.name, tag.kind, taken))
    }

    /// As many as a server may send before it is given up.
    #[test]
    fn endless_prologues_end_nothing_but_the_look() {
        let prologues = "<?xml >".repeat(10_000);
        assert_eq!(tag(prologues.as_bytes()), None);
        let (found, taken) = tag(format!("{prologues}<x/>").as_bytes()).unwrap();
        assert!(found.is_ok());
        assert_eq!(taken, prologues.len() + 4);
    }

    #[test]
    fn tags_are_found_whole() {
        let of = |name: &str, kind, taken| Some((name.to_owned(), kind, taken));
        assert_eq!(named("<proceed xmlns='a>b'/>"), of("proceed", Kind::Empty, 22));
        assert_eq!(
            named("<?xml version='1.0'?> <stream:stream id='1'>"),
            of("stream", Kind::Begin, 44)
        );
        assert_eq!(named("  </stream:features><x/>"), of("features", Kind::End, 20));
        for cut in ["", "<", "<proceed", "<proceed x='>", "<?xml version='1.0'?>"] {
            assert_eq!(tag(cut.as_bytes()), None, "{cut}");
        }
        for foreign in ["<!DOCTYPE x>", "<>", "<?php ?>", "< x>"] {
            assert!(tag(foreign.as_bytes()).unwrap().0.is_err(), "{foreign}");
        }
    }
}
