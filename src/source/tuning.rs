//! Where to tune a radio so that the spike at 0 Hz of its baseband spoils nothing.
//!
//! A direct conversion receiver has a spike at 0 Hz, a mirror image of everything at the opposite
//! frequency, and filters that fall off towards the edges of its band. With downlinks at `fᵢ` of
//! widths `wᵢ` (Doppler included), a usable band of `b` and a guard `g`, a centre `c` is good if
//!
//! ```text
//! |fᵢ − c| + wᵢ/2 ≤ b/2            all of it within the band
//! |fᵢ − c| − wᵢ/2 ≥ g              the spike outside
//! |fᵢ + fⱼ − 2c|  ≥ (wᵢ + wⱼ)/2    no downlink on another's image; if it can be had
//! ```
//!
//! These are intervals of `c`; the middle of the widest one is taken.

use crate::error::RequestError;

/// What share of the sample rate the filters of common radios let through.
pub const USABLE_SHARE: f64 = 0.8;

/// A downlink's place in the spectrum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Occupied {
    /// Its carrier.
    pub frequency_hz: f64,
    /// All that it occupies around it, with Doppler shift and carrier error to both sides.
    pub width_hz: f64,
}

impl Occupied {
    fn low_hz(self) -> f64 {
        self.frequency_hz - self.width_hz / 2.0
    }

    fn high_hz(self) -> f64 {
        self.frequency_hz + self.width_hz / 2.0
    }
}

/// The centre frequency for `downlinks` within `usable_band_hz` (at most the sample rate, see
/// [`USABLE_SHARE`]), with 0 Hz at least `guard_hz` away from the edge of each; whole Hz.
///
/// # Errors
/// There is no downlink, a number is none, or they do not fit into the band together: the band that
/// would do is said.
pub fn choose_centre(
    downlinks: &[Occupied],
    usable_band_hz: f64,
    sample_rate_hz: f64,
    guard_hz: f64,
) -> Result<f64, RequestError> {
    let usable = |x: f64| x.is_finite() && (0.0..=1e12).contains(&x);
    let numbers = downlinks.iter().flat_map(|d| [d.frequency_hz, d.width_hz]);
    if downlinks.is_empty() || !numbers.chain([usable_band_hz, guard_hz]).all(usable) {
        let wrong = "cannot be chosen without downlinks of known frequency and width";
        return Err(RequestError::new("--frequency", wrong, "say the frequency to tune to"));
    }
    if !sample_rate_hz.is_finite() || usable_band_hz > sample_rate_hz {
        let wrong = format!("a band of {usable_band_hz} Hz does not fit into {sample_rate_hz} Hz");
        return Err(RequestError::new("--rate", wrong, "choose a higher rate"));
    }
    let low = downlinks.iter().map(|d| d.low_hz()).fold(f64::INFINITY, f64::min);
    let high = downlinks.iter().map(|d| d.high_hz()).fold(f64::NEG_INFINITY, f64::max);
    let within = (high - usable_band_hz / 2.0, low + usable_band_hz / 2.0);
    let spikes: Vec<(f64, f64)> =
        downlinks.iter().map(|d| (d.low_hz() - guard_hz, d.high_hz() + guard_hz)).collect();
    let mut images = spikes.clone();
    for (index, a) in downlinks.iter().enumerate() {
        for b in &downlinks[..index] {
            let middle = (a.frequency_hz + b.frequency_hz) / 2.0;
            let reach = (a.width_hz + b.width_hz) / 4.0;
            images.push((middle - reach, middle + reach));
        }
    }
    let centre = widest_outside(within, images).or_else(|| widest_outside(within, spikes.clone()));
    centre.ok_or_else(|| {
        // With the spike just above or just below all of them, twice the distance to the farthest
        // edge is needed; between two of them it may be less.
        let needed = needed_band_hz(low, high, spikes);
        let wrong = format!(
            "{} downlink(s) from {low:.0} to {high:.0} Hz do not fit into {usable_band_hz:.0} Hz \
             beside the spike in its middle",
            downlinks.len()
        );
        let right = format!(
            "choose a rate of at least {:.0}, or fewer downlinks",
            (needed * sample_rate_hz / usable_band_hz.max(1.0)).ceil()
        );
        RequestError::new("--rate", wrong, right)
    })
}

/// The narrowest band that holds `low` to `high` with its middle outside of `spikes`.
fn needed_band_hz(low: f64, high: f64, spikes: Vec<(f64, f64)>) -> f64 {
    let middle = (low + high) / 2.0;
    let edges = spikes.iter().flat_map(|&(a, b)| [a, b]).chain([middle]);
    let free = |c: f64| spikes.iter().all(|&(a, b)| c <= a || c >= b);
    let needed = |c: f64| 2.0 * (high - c).max(c - low);
    edges.filter(|&c| free(c)).map(needed).fold(f64::INFINITY, f64::min)
}

/// The middle, in whole Hz, of the widest interval in `within` and outside of all `forbidden` ones.
/// Of several equally wide, the lowest.
fn widest_outside(within: (f64, f64), mut forbidden: Vec<(f64, f64)>) -> Option<f64> {
    forbidden.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut best: Option<(f64, f64)> = None;
    let mut consider = |from: f64, to: f64| {
        // To a Hz, so that rounding errors choose nothing.
        if to >= from && best.is_none_or(|(a, b)| (to - from) > (b - a) + 1.0) {
            best = Some((from, to));
        }
    };
    let mut from = within.0;
    for (start, end) in forbidden {
        consider(from, start.min(within.1));
        from = from.max(end);
    }
    consider(from, within.1);
    let (from, to) = best?;
    let middle = (from + to) / 2.0;
    let whole = middle.round();
    Some(if (from..=to).contains(&whole) { whole } else { middle })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn at(frequency_hz: f64, width_hz: f64) -> Occupied {
        Occupied { frequency_hz, width_hz }
    }

    #[test]
    fn one_downlink_lies_in_the_middle_of_half_the_band() {
        let downlink = at(437.5e6, 40e3);
        let centre = choose_centre(&[downlink], 200e3, 250e3, 5e3).unwrap();
        let offset = downlink.frequency_hz - centre;
        // From 25 kHz (spike) to 80 kHz (edge).
        assert_eq!(offset, 52_500.0);
    }

    #[test]
    fn every_choice_keeps_what_it_promises() {
        let mut state = 7u64;
        let mut random = |low: f64, high: f64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
            low + (high - low) * (state >> 40) as f64 / (1u64 << 24) as f64
        };
        let (mut chosen, mut refused) = (0, 0);
        for round in 0..2000 {
            let count = 1 + round % 4;
            let downlinks: Vec<_> =
                (0..count).map(|_| at(436e6 + random(0.0, 1.5e6), random(5e3, 60e3))).collect();
            let (band, guard) = (1.6e6, 4e3);
            match choose_centre(&downlinks, band, 2e6, guard) {
                Ok(centre) => {
                    chosen += 1;
                    for d in downlinks {
                        let distance = (d.frequency_hz - centre).abs();
                        assert!(distance + d.width_hz / 2.0 <= band / 2.0 + 1e-3);
                        assert!(distance - d.width_hz / 2.0 >= guard - 1e-3);
                    }
                }
                Err(_) => refused += 1,
            }
        }
        assert!(chosen > 1500 && refused < 500, "{chosen} {refused}");
    }

    #[test]
    fn images_are_kept_off_other_downlinks_when_there_is_room() {
        let downlinks = [at(437.0e6, 30e3), at(437.2e6, 30e3)];
        let centre = choose_centre(&downlinks, 800e3, 1e6, 5e3).unwrap();
        assert!(
            (downlinks[0].frequency_hz + downlinks[1].frequency_hz - 2.0 * centre).abs() >= 30e3
        );
        // Without room the images are borne.
        let centre = choose_centre(&downlinks, 232e3, 250e3, 5e3).unwrap();
        assert_eq!(centre, 437.1e6);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_would() {
        let downlinks = [at(437.0e6, 30e3), at(438.0e6, 30e3)];
        let error = choose_centre(&downlinks, 200e3, 250e3, 5e3).unwrap_err();
        assert_eq!(error.subject, "--rate");
        assert!(error.right.contains("1287500"), "{error}");
        assert!(choose_centre(&downlinks, 1.03e6, 1_287_500.0, 5e3).is_ok());
        // One that is as wide as the band.
        let error = choose_centre(&[at(437e6, 100e3)], 100e3, 100e3, 0.0).unwrap_err();
        assert!(error.right.contains("200000"), "{error}");
    }

    #[test]
    fn nonsense_is_refused() {
        for downlinks in
            [&[][..], &[at(f64::NAN, 1.0)], &[at(1e8, f64::INFINITY)], &[at(1e8, -1.0)]]
        {
            assert!(choose_centre(downlinks, 1e6, 1e6, 0.0).is_err());
        }
        for (band, rate, guard) in
            [(f64::NAN, 1e6, 0.0), (1e6, f64::NAN, 0.0), (1e6, 1e6, f64::NAN), (2e6, 1e6, 0.0)]
        {
            assert!(choose_centre(&[at(1e8, 1e3)], band, rate, guard).is_err());
        }
        assert!(choose_centre(&[at(1e8, 1e3)], 0.0, 0.0, 0.0).is_err());
    }
}
