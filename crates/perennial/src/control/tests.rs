//! Both sides over a real socket.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::*;

/// A daemon whose loop answers each question with its words; `stop` is dropped unanswered.
async fn daemon(path: PathBuf) -> tokio::task::JoinHandle<()> {
    let (to, mut questions) = mpsc::channel::<ControlRequest>(1);
    let server = Server::bind(&path).unwrap();
    tokio::spawn(server.serve(to));
    tokio::spawn(async move {
        while let Some(ControlRequest { question, reply }) = questions.recv().await {
            if question != Question::Stop {
                reply.send(Answer::Done { text: format!("{question:?}") }).unwrap();
            }
        }
    })
}

async fn ask_in_thread(path: PathBuf, question: Question) -> Result<Answer, ControlError> {
    tokio::task::spawn_blocking(move || ask(&path, &question)).await.unwrap()
}

#[tokio::test]
async fn a_question_is_answered_over_a_socket_of_our_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    let _daemon = daemon(path.clone()).await;
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing but the socket");
    let question = Question::Renew { certificate: Name::new("www") };
    let answer = ask_in_thread(path.clone(), question.clone()).await.unwrap();
    assert_eq!(answer, Answer::Done { text: format!("{question:?}") });
    let refused = ask_in_thread(path, Question::Stop).await.unwrap();
    assert!(matches!(refused, Answer::Refused { text, .. } if text == "the daemon is ending"));
}

#[tokio::test]
async fn a_socket_that_a_killed_daemon_left_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let nobody = ask_in_thread(path.clone(), Question::Stop).await;
    assert!(matches!(nobody, Err(ControlError::NotRunning(_))));
    let _daemon = daemon(path.clone()).await;
    let answer = ask_in_thread(path, Question::Reload { confirmed: true }).await;
    assert!(matches!(answer, Ok(Answer::Done { .. })));
}

#[tokio::test]
async fn nonsense_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    let _daemon = daemon(path.clone()).await;
    let too_long = vec![b'x'; usize::try_from(QUESTION_LIMIT).unwrap() + 1];
    for nonsense in [b"{\"ask\":\"dance\"}\n".to_vec(), b"\xff\n".to_vec(), too_long] {
        let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
        // The daemon may hang up before it was told everything.
        let _ = stream.write_all(&nonsense).await;
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        assert!(answer.is_empty() || answer.contains("does not understand"), "{answer}");
    }
    let answer = ask_in_thread(path, Question::Reload { confirmed: false }).await;
    assert!(matches!(answer, Ok(Answer::Done { .. })), "it still serves others");
}

#[test]
fn without_a_daemon_the_advice_is_to_start_one() {
    let folder = tempfile::tempdir().unwrap();
    let error = ask(&folder.path().join("none"), &Question::Stop).unwrap_err();
    assert!(error.advice().contains("perennial run"));
}
