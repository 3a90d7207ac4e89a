//! Schemes of URLs, by which people say what is spoken where: `smtp://mail.example.org`.

use perennial_core::words::Protocol;

/// What a scheme says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scheme {
    /// What is spoken before TLS begins.
    pub protocol: Protocol,
    /// The port that is meant where none is said.
    pub port: u16,
}

/// Those that are known, with the ports that IANA assigned. The `s` at the end of one says that TLS
/// begins at once (RFC 8314 section 3).
const KNOWN: [(&str, Protocol, u16); 19] = [
    ("tls", Protocol::Tls, 443),
    ("https", Protocol::Tls, 443),
    ("smtp", Protocol::Smtp, 25),
    ("submission", Protocol::Smtp, 587),
    ("smtps", Protocol::Tls, 465),
    ("imap", Protocol::Imap, 143),
    ("imaps", Protocol::Tls, 993),
    ("pop3", Protocol::Pop3, 110),
    ("pop3s", Protocol::Tls, 995),
    ("ldap", Protocol::Ldap, 389),
    ("ldaps", Protocol::Tls, 636),
    ("postgresql", Protocol::Postgresql, 5432),
    ("postgres", Protocol::Postgresql, 5432),
    ("ftp", Protocol::Ftp, 21),
    ("ftps", Protocol::Tls, 990),
    ("xmpp", Protocol::Xmpp, 5222),
    ("xmpps", Protocol::Tls, 5223),
    ("xmpp-server", Protocol::XmppServer, 5269),
    ("xmpps-server", Protocol::Tls, 5270),
];

/// Splits a scheme off the front of a text, if it has one.
///
/// # Errors
///
/// Returns what is wrong with it, and what to write instead.
pub fn scheme(text: &str) -> Result<(Option<Scheme>, &str), (String, String)> {
    let Some((word, rest)) = text.split_once("://") else { return Ok((None, text)) };
    let known = KNOWN.iter().find(|(own, ..)| word.eq_ignore_ascii_case(own));
    match known {
        Some((_, protocol, port)) => Ok((Some(Scheme { protocol: *protocol, port: *port }), rest)),
        None => {
            let own: Vec<&str> = KNOWN.iter().map(|(own, ..)| *own).collect();
            Err((format!("nothing is known of `{word}://`"), format!("known: {}", own.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_say_what_is_spoken_and_where() {
        let of = |text| scheme(text).map(|(said, rest)| (said.map(|s| (s.protocol, s.port)), rest));
        assert_eq!(of("SMTP://mail.test"), Ok((Some((Protocol::Smtp, 25)), "mail.test")));
        assert_eq!(of("imaps://mail.test"), Ok((Some((Protocol::Tls, 993)), "mail.test")));
        assert_eq!(of("mail.test:25"), Ok((None, "mail.test:25")));
        let (text, hint) = of("gopher://mail.test").unwrap_err();
        assert_eq!(text, "nothing is known of `gopher://`");
        assert!(hint.starts_with("known: tls, https, smtp, "), "{hint}");
        for (word, protocol, port) in KNOWN {
            let usual = Protocol::usual_at(port);
            assert!(usual == protocol, "{word} and its port say the same");
        }
    }
}
