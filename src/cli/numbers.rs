//! Numbers and instants as the command line takes them. `f64::from_str` alone would accept NaN and infinity, and
//! the ranges are those of the catalogue's files.

/// A number from `least` to `most`.
pub fn between(
    least: f64,
    most: f64,
) -> impl Fn(&str) -> Result<f64, String> + Clone + Send + Sync + 'static {
    move |text| {
        let value = text.trim().parse().ok().filter(|x| (least..=most).contains(x));
        value.ok_or_else(|| format!("accepted: a number from {} to {}", short(least), short(most)))
    }
}

/// A symbol rate in baud.
pub fn symbol_rate(text: &str) -> Result<f64, String> {
    between(1.0, 1e9)(text)
}

/// Samples per second.
pub fn sample_rate(text: &str) -> Result<f64, String> {
    between(1.0, 1e10)(text)
}

/// A frequency on the air.
pub fn carrier(text: &str) -> Result<f64, String> {
    between(0.0, 3e11)(text)
}

/// A frequency, or a difference of frequencies, of any sign.
pub fn signed_hz(text: &str) -> Result<f64, String> {
    between(-1e9, 1e9)(text)
}

/// A ratio of powers; infinity stands for no noise.
pub fn decibels(text: &str) -> Result<f64, String> {
    between(f64::NEG_INFINITY, f64::INFINITY)(text)
}

/// An instant.
pub fn instant(text: &str) -> Result<jiff::Timestamp, String> {
    text.trim().parse().map_err(|_| "accepted: UTC such as 2026-08-01T12:00:00Z".to_owned())
}

/// Large numbers as powers of ten.
fn short(x: f64) -> String {
    if x.abs() >= 1e6 && x.is_finite() { format!("{x:e}") } else { x.to_string() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_refused() {
        for parse in [symbol_rate, sample_rate, carrier, signed_hz, decibels] {
            assert_eq!(parse(" 1.5e3 ").unwrap(), 1500.0);
            for text in ["", "x", "NaN", "-nan", "1,5", "--1"] {
                assert!(parse(text).is_err(), "{text}");
            }
        }
        for parse in [symbol_rate, sample_rate, carrier, signed_hz] {
            assert!(parse("inf").is_err() && parse("1e400").is_err());
        }
        assert!(signed_hz("-1").is_ok() && carrier("-1").is_err() && symbol_rate("0").is_err());
        assert!(decibels("-inf").is_ok());
        assert_eq!(symbol_rate("0.5").unwrap_err(), "accepted: a number from 1 to 1e9");
    }
}
