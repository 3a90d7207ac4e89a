//! HAProxy's runtime API: a certificate is exchanged in the running process, without a reload.
//!
//! One command goes over each connection, and its answer ends with it. A certificate is set in a
//! transaction, and shown to clients from its commit on; one that does not come to a commit is
//! aborted, since HAProxy has one transaction for all.
//!
//! Source: HAProxy 2.6 Management Guide, section 9.3, "set ssl cert" and "commit ssl cert".

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time;
use zeroize::Zeroizing;

/// How long one command may take.
const COMMAND_WITHIN: Duration = Duration::from_secs(20);

/// How much of an answer is read.
const MAX_ANSWER: u64 = 64 * 1024;

/// Lets the running HAProxy show another certificate in the place of the file `name`.
///
/// # Errors
///
/// Says what was refused; nothing was changed then.
pub(super) async fn replace(socket: &Path, name: &str, pem: &[u8]) -> Result<(), String> {
    let name = name.replace('\\', "\\\\").replace(' ', "\\ ");
    // An empty line ends what is sent.
    let lines = pem.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let mut command = Zeroizing::new(Vec::with_capacity(pem.len() + name.len() + 32));
    command.extend_from_slice(format!("set ssl cert {name} <<\n").as_bytes());
    for line in lines {
        command.extend_from_slice(line.trim_ascii_end());
        command.push(b'\n');
    }
    command.push(b'\n');
    let set = ask(socket, &command).await?;
    if !(set.contains("ransaction created") || set.contains("ransaction updated")) {
        return Err(refusal("set ssl cert", &set));
    }
    let committed = ask(socket, format!("commit ssl cert {name}\n").as_bytes()).await;
    let refused = match committed {
        Ok(answer) if answer.contains("Success!") => return Ok(()),
        Ok(answer) => refusal("commit ssl cert", &answer),
        Err(error) => error,
    };
    // Without it nobody could set another one.
    match ask(socket, format!("abort ssl cert {name}\n").as_bytes()).await {
        Ok(_) => Err(refused),
        Err(error) => Err(format!("{refused}; and it could not be aborted: {error}")),
    }
}

fn refusal(command: &str, answer: &str) -> String {
    let answer: Vec<&str> =
        answer.lines().map(str::trim).filter(|line| !line.is_empty()).take(5).collect();
    format!("`{command}` was answered: {}", answer.join(" "))
}

async fn ask(socket: &Path, command: &[u8]) -> Result<String, String> {
    let failed = |error: io::Error| format!("{}: {error}", socket.display());
    let asking = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(command).await?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let late = || format!("{}: no answer within {} s", socket.display(), COMMAND_WITHIN.as_secs());
    time::timeout(COMMAND_WITHIN, asking).await.map_err(|_| late())?.map_err(failed)
}
