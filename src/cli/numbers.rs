//! Numbers as the command line takes them. `f64::from_str` alone would accept NaN and infinity.

/// A finite number.
pub fn finite(text: &str) -> Result<f64, String> {
    within(text, f64::is_finite, "accepted: a number")
}

/// A finite number above 0.
pub fn positive(text: &str) -> Result<f64, String> {
    within(text, |x| x.is_finite() && x > 0.0, "accepted: a number above 0")
}

/// A finite number, 0 or more.
pub fn not_negative(text: &str) -> Result<f64, String> {
    within(text, |x| x.is_finite() && x >= 0.0, "accepted: a number, 0 or more")
}

/// A number or `inf`, above 0.
pub fn positive_or_infinite(text: &str) -> Result<f64, String> {
    within(text, |x| x > 0.0, "accepted: a number above 0, or inf")
}

/// A number or `inf`, of any sign.
pub fn decibels(text: &str) -> Result<f64, String> {
    within(text, |x| !x.is_nan(), "accepted: a number of decibels, or inf")
}

fn within(text: &str, right: impl Fn(f64) -> bool, accepted: &str) -> Result<f64, String> {
    text.trim().parse().ok().filter(|x| right(*x)).ok_or_else(|| accepted.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_refused() {
        for parse in [finite, positive, not_negative, positive_or_infinite, decibels] {
            assert_eq!(parse(" 1.5e3 ").unwrap(), 1500.0);
            for text in ["", "x", "NaN", "1,5", "--1"] {
                assert!(parse(text).is_err(), "{text}");
            }
        }
        for parse in [finite, positive, not_negative] {
            assert!(parse("inf").is_err() && parse("1e400").is_err());
        }
        assert!(finite("-1").is_ok() && not_negative("-0.1").is_err() && positive("0").is_err());
        assert_eq!(positive_or_infinite("inf").unwrap(), f64::INFINITY);
        assert!(positive_or_infinite("-inf").is_err() && decibels("-inf").is_ok());
    }
}
