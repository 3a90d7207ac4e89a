//! How errors are told: what failed with its causes, an empty line, and a hint.

use std::fmt;

use perennial_store::StoreError;

use crate::control::ControlError;

/// An error with what to do about it.
#[derive(Debug)]
pub struct Hinted {
    text: String,
    hint: String,
}

impl Hinted {
    /// Makes an error of what failed and what to do about it.
    pub fn new(text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { text: text.into(), hint: hint.into() }
    }

    /// The daemon answered another question than the one that was asked.
    #[must_use]
    pub fn mismatch() -> Self {
        let hint = "compare `perennial --version` with the daemon's, and restart it";
        Self::new("the daemon answered something else than it was asked", hint)
    }
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Hinted {}

/// Returns an error as people read it.
#[must_use]
pub fn tell(error: &anyhow::Error) -> String {
    let chain: Vec<String> = error.chain().map(ToString::to_string).collect();
    let text = chain.join(": ");
    match error.chain().find_map(advice) {
        Some(hint) => format!("{text}\n\nhint: {hint}"),
        None => text,
    }
}

/// Returns what an error itself knows to advise.
fn advice(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(hinted) = error.downcast_ref::<Hinted>() {
        return Some(hinted.hint.clone());
    }
    if let Some(control) = error.downcast_ref::<ControlError>() {
        return Some(control.advice());
    }
    error.downcast_ref::<StoreError>().map(StoreError::advice)
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn an_error_is_told_with_its_causes_and_one_hint() {
        let error = Err::<(), _>(Hinted::new("it is full", "free some space"));
        let error = error.context("could not write the journal").unwrap_err();
        let told = tell(&error);
        assert_eq!(told, "could not write the journal: it is full\n\nhint: free some space");
    }
}
