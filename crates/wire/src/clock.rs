//! Clocks, handed in by the binary: the only reader of the machine's.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

/// Tells the time when asked.
///
/// Two are in use. The *logical* clock is the one certificates are judged by; the sandbox may run it
/// a day a second. The *wall* clock is the machine's, for protocols whose peers compare clocks
/// (TSIG, SigV4).
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// Makes a clock of a function.
    pub fn new(tell: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// Returns the time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
