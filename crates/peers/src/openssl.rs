//! openssl: an independent reader and writer of keys and certificates.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::{Error, Program};

/// Runs `openssl` with some bytes as its input and returns what it writes.
///
/// # Errors
///
/// When it is not installed, or with what it said when it refuses.
pub fn openssl(args: &[&str], input: &[u8]) -> Result<Vec<u8>, Error> {
    let failed = |cause| Error::failed("running openssl", cause);
    let mut command = Command::new(Program::OPENSSL.locate()?);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(failed(std::io::Error::other(said)))
}
