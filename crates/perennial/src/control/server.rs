//! The daemon's side: listen, hand questions to the run loop, send answers back.
//!
//! The socket is made inside a folder that only we can enter, gets its mode there, and is moved to
//! its place in one rename: at no moment can another user connect, and a socket that a killed daemon
//! left behind is replaced. A crash in between leaves an empty folder `.c<pid>`.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::{Answer, ControlRequest, QUESTION_LIMIT, Question};

/// A socket that listens.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
}

/// How many connections are served at once; others wait in the listener's queue.
const AT_ONCE: usize = 16;

/// How long an asker may take to say what it wants, or to take its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long after a failed accept (no descriptors left, say) the next one is tried.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

impl Server {
    /// Listens at a path; must be called within a tokio runtime.
    ///
    /// The caller holds the store's lock, so that a socket in the way is nobody's any more.
    ///
    /// # Errors
    ///
    /// Returns why the socket could not be made.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let folder = path.parent().unwrap_or_else(|| Path::new("/"));
        let door = folder.join(format!(".c{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&door)?;
        let made = listen_behind(&door, path);
        let cleared = fs::remove_dir(&door);
        let listener = made?;
        cleared?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Serves until the run loop drops its end of `to`.
    pub async fn serve(self, to: mpsc::Sender<ControlRequest>) {
        let slots = Arc::new(Semaphore::new(AT_ONCE));
        loop {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
            let accepted = tokio::select! {
                () = to.closed() => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let to = to.clone();
                    tokio::spawn(async move {
                        // An asker that hangs up or dawdles loses its answer, and nobody else.
                        let _ = converse(stream, to).await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    // Whoever asks is told by the connection; nothing that is watched waits for it.
                    tracing::warn!(%error, "could not accept a connection to the control socket");
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // What stays is replaced by the next start.
        let _ = fs::remove_file(&self.path);
    }
}

fn listen_behind(door: &Path, path: &Path) -> io::Result<UnixListener> {
    let inside = door.join("s");
    let listener = UnixListener::bind(&inside)?;
    let placed = fs::set_permissions(&inside, Permissions::from_mode(0o600))
        .and_then(|()| fs::rename(&inside, path));
    if placed.is_err() {
        let _ = fs::remove_file(&inside);
    }
    placed.map(|()| listener)
}

async fn converse(mut stream: UnixStream, to: mpsc::Sender<ControlRequest>) -> io::Result<()> {
    let mut line = String::new();
    let (reader, mut writer) = stream.split();
    let read = async { BufReader::new(reader.take(QUESTION_LIMIT)).read_line(&mut line).await };
    timeout(PATIENCE, read).await??;
    let answer = match serde_json::from_str::<Question>(&line) {
        Ok(question) => forward(question, &to).await,
        Err(error) => Answer::Refused {
            text: format!("this daemon does not understand the question: {error}"),
            hint: String::from("compare `perennial --version` with the daemon's, and restart it"),
        },
    };
    let mut line = serde_json::to_vec(&answer).map_err(io::Error::other)?;
    line.push(b'\n');
    timeout(PATIENCE, writer.write_all(&line)).await??;
    writer.shutdown().await
}

async fn forward(question: Question, to: &mpsc::Sender<ControlRequest>) -> Answer {
    let (reply, answer) = oneshot::channel();
    let ending = || Answer::Refused {
        text: String::from("the daemon is ending"),
        hint: String::from("wait for it to start again: systemctl status perennial"),
    };
    if to.send(ControlRequest { question, reply }).await.is_err() {
        return ending();
    }
    answer.await.unwrap_or_else(|_| ending())
}
