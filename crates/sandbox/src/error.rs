//! Why the sandbox could not be set up.

/// Why the sandbox could not be set up, or a host not be fed.
#[derive(Debug, thiserror::Error)]
#[error("could not {attempted}: {cause}")]
pub struct SandboxError {
    /// What was attempted on what.
    pub attempted: String,
    /// Why it failed.
    pub cause: String,
}

impl SandboxError {
    pub(crate) fn new(attempted: impl Into<String>, cause: &impl ToString) -> Self {
        Self { attempted: attempted.into(), cause: cause.to_string() }
    }
}
