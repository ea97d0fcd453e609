//! How far a receiver goes for a frame.

/// How far a receiver goes for a frame. More effort takes more time where a signal is weak, and none
/// where it is strong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub enum Effort {
    /// Every symbol is given out once, decided on the best fit of its burst, and every codeword decoded
    /// once; nothing is repaired. What limits of theory are about.
    OnePass,
    /// Several views of a burst in doubt, repair, erasures, redecoding: every frame that is beyond doubt.
    #[default]
    Full,
    /// Also frames that are likely right, but not beyond doubt
    /// ([`Frame::is_doubtful`](crate::frame::Frame::is_doubtful)).
    Doubtful,
}
