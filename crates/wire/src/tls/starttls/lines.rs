//! Protocols of lines: SMTP, IMAP, POP3 and FTP.

use std::net::IpAddr;

use super::talk::Talk;
use crate::tls::TlsError;

/// RFC 3207. The greeting of ours names our address, since we have no name to show
/// (RFC 5321 section 4.1.1.1).
pub(super) async fn smtp(talk: &mut Talk<'_>) -> Result<(), TlsError> {
    let greeting = reply(talk).await?;
    if !greeting.is_in(200) {
        return Err(talk.turned_away(&greeting.text()));
    }
    let own = match talk.own_address() {
        IpAddr::V4(ip) => format!("[{ip}]"),
        IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
    };
    talk.say(format!("EHLO {own}\r\n").as_bytes()).await?;
    let offers = reply(talk).await?;
    if !offers.is_in(200) {
        return Err(talk.turned_away(&offers.text()));
    }
    let is_offer = |line: &String| {
        let keyword = line.split_ascii_whitespace().next().unwrap_or_default();
        keyword.eq_ignore_ascii_case("STARTTLS")
    };
    if !offers.lines.iter().any(is_offer) {
        return Err(talk.not_offered());
    }
    talk.say(b"STARTTLS\r\n").await?;
    consent(talk, 220).await
}

/// RFC 4217 section 4. What a server of FTP can do need not be asked first.
pub(super) async fn ftp(talk: &mut Talk<'_>) -> Result<(), TlsError> {
    let greeting = reply(talk).await?;
    if !greeting.is_in(200) {
        return Err(talk.turned_away(&greeting.text()));
    }
    talk.say(b"AUTH TLS\r\n").await?;
    consent(talk, 234).await
}

/// RFC 9051 section 6.2.1. A server that knows us already (`PREAUTH`) can begin no TLS any more.
pub(super) async fn imap(talk: &mut Talk<'_>) -> Result<(), TlsError> {
    let greeting = talk.line().await?;
    match after(&greeting, "* ").map(first_word).as_deref() {
        Some("OK") => {}
        Some("PREAUTH") => return Err(talk.refused(&greeting)),
        Some("BYE") => return Err(talk.turned_away(&greeting)),
        _ => return Err(talk.foreign(&greeting)),
    }
    talk.say(b"p1 STARTTLS\r\n").await?;
    loop {
        let line = talk.line().await?;
        if let Some(result) = after(&line, "p1 ") {
            return if first_word(result) == "OK" { Ok(()) } else { Err(talk.refused(&line)) };
        }
        // What is told beside goes on until our own answer comes.
        if !line.starts_with("* ") {
            return Err(talk.foreign(&line));
        }
    }
}

/// RFC 2595 section 4.
pub(super) async fn pop3(talk: &mut Talk<'_>) -> Result<(), TlsError> {
    let greeting = talk.line().await?;
    match first_word(&greeting).as_str() {
        "+OK" => {}
        "-ERR" => return Err(talk.turned_away(&greeting)),
        _ => return Err(talk.foreign(&greeting)),
    }
    talk.say(b"STLS\r\n").await?;
    let answer = talk.line().await?;
    if first_word(&answer) == "+OK" { Ok(()) } else { Err(talk.refused(&answer)) }
}

/// An answer of SMTP or FTP: RFC 5321 section 4.2.1, RFC 959 section 4.2.
struct Answer {
    code: u16,
    lines: Vec<String>,
}

impl Answer {
    /// Returns whether the code is of this hundred.
    fn is_in(&self, hundred: u16) -> bool {
        self.code / 100 == hundred / 100
    }

    /// Returns the code and the first line.
    fn text(&self) -> String {
        format!("{} {}", self.code, self.lines.first().map_or("", String::as_str))
    }
}

async fn consent(talk: &mut Talk<'_>, code: u16) -> Result<(), TlsError> {
    let answer = reply(talk).await?;
    if answer.code == code { Ok(()) } else { Err(talk.refused(&answer.text())) }
}

/// Hears an answer of one line (`220 text`), or of several: from `220-text` to `220 text`.
async fn reply(talk: &mut Talk<'_>) -> Result<Answer, TlsError> {
    let first = talk.line().await?;
    let Some((code, goes_on, text)) = coded(&first) else { return Err(talk.foreign(&first)) };
    let (mut lines, mut goes_on) = (vec![text.to_owned()], goes_on);
    while goes_on {
        let line = talk.line().await?;
        let text = match coded(&line) {
            Some((own, more, text)) if own == code => {
                goes_on = more;
                text
            }
            // RFC 959: in between, lines may look like anything.
            _ => &line,
        };
        lines.push(text.to_owned());
    }
    Ok(Answer { code, lines })
}

/// Reads `220 text` or `220-text`.
fn coded(line: &str) -> Option<(u16, bool, &str)> {
    let (code, rest) = line.split_at_checked(3)?;
    let code = code.bytes().all(|byte| byte.is_ascii_digit()).then(|| code.parse().ok())??;
    match rest.strip_prefix('-') {
        Some(text) => Some((code, true, text)),
        None if rest.is_empty() => Some((code, false, rest)),
        None => Some((code, false, rest.strip_prefix(' ')?)),
    }
}

fn after<'l>(line: &'l str, prefix: &str) -> Option<&'l str> {
    let (head, rest) = line.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn first_word(text: &str) -> String {
    text.split_ascii_whitespace().next().unwrap_or_default().to_ascii_uppercase()
}
