//! Frames out, one file a kind. Each sink runs on a thread of its own behind a bounded queue
//! (see the runtime): a sink itself is plain and synchronous.

use crate::frame::Frame;

/// A sink failed; what it had delivered stays delivered.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {cause}")]
pub struct SinkError {
    /// The sink and its target.
    pub name: String,
    /// What happened.
    #[source]
    pub cause: std::io::Error,
}

/// Takes frames.
pub trait Sink: Send {
    /// The sink and its target, for messages.
    fn name(&self) -> &str;

    /// Delivers one frame.
    ///
    /// # Errors
    /// It could not be delivered. The caller counts it and tells the user once.
    fn write(&mut self, frame: &Frame) -> Result<(), SinkError>;

    /// Delivers whatever is buffered.
    ///
    /// # Errors
    /// As [`Sink::write`].
    fn flush(&mut self) -> Result<(), SinkError>;
}
