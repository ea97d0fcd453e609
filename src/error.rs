//! A wrong request: the one error that its author can mend.

/// Something was asked for that cannot be done as asked. The text is one line; it names the key,
/// option or file, what was wrong with it, and what would be right. Ends the program with exit
/// status 2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{subject}: {wrong}; {right}")]
pub struct RequestError {
    /// The option, key or file that is wrong, as the user wrote it.
    pub subject: String,
    /// What is wrong with it.
    pub wrong: String,
    /// What would be right, or what to do.
    pub right: String,
}

impl RequestError {
    /// An error about `subject` that is `wrong`, where `right` would be accepted.
    pub fn new(
        subject: impl Into<String>,
        wrong: impl Into<String>,
        right: impl Into<String>,
    ) -> Self {
        Self { subject: subject.into(), wrong: wrong.into(), right: right.into() }
    }

    /// `word` is none of `accepted`; the nearest of them is suggested.
    pub fn unknown<'a>(
        subject: impl Into<String>,
        word: &str,
        accepted: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let accepted: Vec<&str> = accepted.into_iter().collect();
        let folded = word.to_lowercase();
        let nearest = accepted
            .iter()
            .map(|a| (strsim::damerau_levenshtein(&folded, &a.to_lowercase()), *a))
            .filter(|(distance, a)| *distance <= 1 + a.chars().count() / 3)
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, a)| a);
        let mut right = format!("accepted: {}", accepted.join(", "));
        if let Some(nearest) = nearest {
            right = format!("did you mean \"{nearest}\"? {right}");
        }
        Self::new(subject, format!("\"{word}\" is unknown"), right)
    }
}
