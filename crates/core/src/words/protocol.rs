//! How TLS begins at an endpoint: at once, or after a few words in the clear.

use core::fmt;

use serde::{Deserialize, Serialize};

/// What is spoken before TLS begins. A protocol that begins with TLS is `Tls`, whatever follows.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// Nothing: TLS begins at once.
    #[default]
    Tls,
    /// `STARTTLS` of RFC 3207.
    Smtp,
    /// `STARTTLS` of RFC 9051 section 6.2.1.
    Imap,
    /// `STLS` of RFC 2595 section 4.
    Pop3,
    /// The `StartTLS` operation of RFC 4511 section 4.14.
    Ldap,
    /// The request for encryption of PostgreSQL's own protocol.
    Postgresql,
    /// `AUTH TLS` of RFC 4217.
    Ftp,
    /// `<starttls/>` of RFC 6120 section 5, as clients speak it.
    Xmpp,
    /// The same, as other servers speak it.
    XmppServer,
}

impl Protocol {
    /// Every one.
    pub const ALL: [Self; 9] = [
        Self::Tls,
        Self::Smtp,
        Self::Imap,
        Self::Pop3,
        Self::Ldap,
        Self::Postgresql,
        Self::Ftp,
        Self::Xmpp,
        Self::XmppServer,
    ];

    /// Returns the word by which it is declared.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Smtp => "smtp",
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::Ldap => "ldap",
            Self::Postgresql => "postgresql",
            Self::Ftp => "ftp",
            Self::Xmpp => "xmpp",
            Self::XmppServer => "xmpp-server",
        }
    }

    /// Returns the port that is meant where none is said.
    #[must_use]
    pub const fn usual_port(self) -> u16 {
        match self {
            Self::Tls => 443,
            Self::Smtp => 25,
            Self::Imap => 143,
            Self::Pop3 => 110,
            Self::Ldap => 389,
            Self::Postgresql => 5432,
            Self::Ftp => 21,
            Self::Xmpp => 5222,
            Self::XmppServer => 5269,
        }
    }

    /// Returns what is meant at a port where nothing is said: as IANA assigned it, and 587 for
    /// submission (RFC 6409).
    #[must_use]
    pub fn usual_at(port: u16) -> Self {
        const SUBMISSION: u16 = 587;
        if port == SUBMISSION {
            return Self::Smtp;
        }
        Self::ALL.into_iter().find(|own| own.usual_port() == port).unwrap_or_default()
    }

    /// Returns whether TLS begins at once.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        matches!(self, Self::Tls)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls => "TLS",
            Self::Smtp => "SMTP",
            Self::Imap => "IMAP",
            Self::Pop3 => "POP3",
            Self::Ldap => "LDAP",
            Self::Postgresql => "PostgreSQL",
            Self::Ftp => "FTP",
            Self::Xmpp | Self::XmppServer => "XMPP",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_usual_at_its_own_port() {
        for own in Protocol::ALL {
            assert_eq!(Protocol::usual_at(own.usual_port()), own);
        }
        for (port, own) in [(587, Protocol::Smtp), (993, Protocol::Tls), (8443, Protocol::Tls)] {
            assert_eq!(Protocol::usual_at(port), own, "{port}");
        }
    }
}
