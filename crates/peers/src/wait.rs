//! Waiting for a condition, never for a time.

use std::time::Duration;

use crate::Error;

/// Asks `look` again and again until it returns something, and returns that.
///
/// `what` is the condition as a sentence ("nginx serves the new leaf"); it is what the error says.
///
/// # Errors
///
/// [`Error::Late`] when the deadline passes first.
pub async fn until<T, Look, Looking>(
    what: &str,
    deadline: Duration,
    mut look: Look,
) -> Result<T, Error>
where
    // Not `AsyncFnMut`: what waits for one cannot be sent to another thread.
    Look: FnMut() -> Looking,
    Looking: Future<Output = Option<T>>,
{
    let looking = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    };
    tokio::time::timeout(deadline, looking)
        .await
        .map_err(|_| Error::Late { what: what.to_owned(), after_secs: deadline.as_secs() })
}

/// Short enough not to be felt, long enough to leave the peer the processor.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
