//! What the system says when there is no connection.

use std::io;

use rustix::io::Errno;

/// Returns whether an error says that *this machine* has no way to the address (no IPv6 here, no
/// default route), so that nothing is learnt about the other side.
#[must_use]
pub fn no_route(error: &io::Error) -> bool {
    let Some(code) = error.raw_os_error() else { return false };
    [Errno::NETUNREACH, Errno::ADDRNOTAVAIL, Errno::AFNOSUPPORT, Errno::NETDOWN]
        .iter()
        .any(|errno| errno.raw_os_error() == code)
}

/// Says what went wrong as people do: without the system's number, the usual causes in plain words.
#[must_use]
pub fn describe(error: &io::Error) -> String {
    let code = error.raw_os_error();
    let known = CAUSES.iter().find(|(errno, _)| Some(errno.raw_os_error()) == code);
    if let Some((_, text)) = known {
        return (*text).to_owned();
    }
    let text = error.to_string();
    text.split_once(" (os error").map_or(text.as_str(), |(text, _)| text).to_owned()
}

const CAUSES: [(Errno, &str); 9] = [
    (Errno::CONNREFUSED, "connection refused"),
    (Errno::CONNRESET, "connection reset"),
    (Errno::HOSTUNREACH, "host unreachable"),
    (Errno::NETUNREACH, "network unreachable"),
    (Errno::NETDOWN, "network down"),
    (Errno::TIMEDOUT, "connection timed out"),
    (Errno::ADDRNOTAVAIL, "no address of this kind here"),
    (Errno::AFNOSUPPORT, "no address of this kind here"),
    (Errno::ACCESS, "forbidden by a firewall here"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_plain_words() {
        let of = |errno: Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        assert_eq!(describe(&of(Errno::CONNREFUSED)), "connection refused");
        assert_eq!(describe(&of(Errno::PIPE)), "Broken pipe");
        assert_eq!(describe(&io::Error::other("early end")), "early end");
        assert!(no_route(&of(Errno::NETUNREACH)) && !no_route(&of(Errno::HOSTUNREACH)));
    }
}
