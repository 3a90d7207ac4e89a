//! What the system says when there is no way to an address.

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
