//! The end of a thread, which is not waited for without limit.
//!
//! A driver, a disk or the reader of a pipe may never answer. What waits for it cannot be ended from
//! outside; it is left behind with its thread, so that everybody else comes to an end.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Shortest and longest time between two looks.
const LOOKS: (Duration, Duration) = (Duration::from_micros(500), Duration::from_millis(20));

/// What a thread returned (the error is its panic). `until`: `None` waits for as long as it takes.
///
/// `None`: it still runs, and is left behind.
pub(super) fn join_until<T>(
    thread: JoinHandle<T>,
    until: Option<Instant>,
) -> Option<std::thread::Result<T>> {
    let mut pause = LOOKS.0;
    while let Some(until) = until
        && !thread.is_finished()
    {
        let left = until.checked_duration_since(Instant::now()).filter(|d| !d.is_zero())?;
        std::thread::sleep(pause.min(left));
        pause = (2 * pause).min(LOOKS.1);
    }
    Some(thread.join())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn what_hangs_is_left_behind_and_what_ends_is_not() {
        let (go, wait) = mpsc::channel::<()>();
        let hangs = std::thread::spawn(move || wait.recv().is_ok());
        let until = Some(Instant::now() + Duration::from_millis(30));
        assert!(join_until(hangs, until).is_none());
        drop(go);
        let until = Some(Instant::now() + Duration::from_secs(5));
        assert_eq!(join_until(std::thread::spawn(|| 1), until).unwrap().unwrap(), 1);
        assert_eq!(join_until(std::thread::spawn(|| 2), None).unwrap().unwrap(), 2);
    }
}
