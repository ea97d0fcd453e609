//! What systemd is told (`Type=notify`): ready, alive, what comes next, the end. Without systemd
//! nothing happens.

use std::time::{Duration, Instant};

/// The service manager.
pub struct Service {
    /// How often it wants to hear that we are alive, at least twice as often.
    every: Option<Duration>,
    told: Option<Instant>,
    status: String,
}

impl Service {
    /// Asks the environment.
    pub fn new() -> Self {
        Self { every: watchdog().map(|limit| limit / 3), told: None, status: String::new() }
    }

    /// Everything is checked.
    pub fn ready(&self) {
        notify(State::Ready);
    }

    /// The end has begun.
    pub fn stopping(&self) {
        notify(State::Stopping);
    }

    /// The loop has made a round.
    pub fn alive(&mut self) {
        let due = |every: Duration| self.told.is_none_or(|told| told.elapsed() >= every);
        if self.every.is_some_and(due) {
            notify(State::Watchdog);
            self.told = Some(Instant::now());
        }
    }

    /// What `systemctl status` shows.
    pub fn status(&mut self, text: &str) {
        if self.status != text {
            notify(State::Status(text));
            text.clone_into(&mut self.status);
        }
    }
}

enum State<'a> {
    Ready,
    Stopping,
    Watchdog,
    Status(&'a str),
}

#[cfg(unix)]
fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

#[cfg(unix)]
fn notify(state: State<'_>) {
    use sd_notify::NotifyState;
    // Nobody is harmed if it is not heard.
    let _ = sd_notify::notify(&[match state {
        State::Ready => NotifyState::Ready,
        State::Stopping => NotifyState::Stopping,
        State::Watchdog => NotifyState::Watchdog,
        State::Status(text) => NotifyState::Status(text),
    }]);
}

#[cfg(not(unix))]
fn watchdog() -> Option<Duration> {
    None
}

#[cfg(not(unix))]
fn notify(_: State<'_>) {}
