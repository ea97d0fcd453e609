//! From many measurements of a carrier to one sighting a second.
//!
//! Within a cell of time, measurements far from the median are left out (another signal, a false
//! start), and the rest are averaged by weight, time and frequency alike, so that a drift within
//! the cell does no harm. The standard deviation that is stated is
//!
//! ```text
//!  σ² = σ_floor² + s² / Σ 1/σ_i²
//! ```
//!
//! with `s ≥ 1` the scatter of neighbouring measurements within cells, in units of what they claim
//! (1.4826 times the median of its magnitude), and the floor for what neighbours have in common.

use jiff::Timestamp;

use super::refine::Sighting;
use super::seconds_between;

/// Measurements this far from the median are left out, standard deviations.
const FAR: f64 = 4.0;
/// And this far for the drift within a cell, Hz/s times its duration.
const DRIFT_HZ_PER_S: f64 = 150.0;
/// Standard deviation over median magnitude, for a normal distribution.
const NORMAL: f64 = 1.4826;

/// Merges measurements within cells of this duration. In order of time; what is not finite is left
/// out.
pub fn merge(measured: &[Sighting], cell_s: f64, floor_hz: f64) -> Vec<Sighting> {
    let sound =
        |s: &&Sighting| s.shift_hz.is_finite() && s.sigma_hz.is_finite() && s.sigma_hz > 0.0;
    let mut measured: Vec<Sighting> = measured.iter().filter(sound).copied().collect();
    measured.sort_by_key(|s| s.time);
    let mut cells: Vec<&[Sighting]> = Vec::new();
    let mut rest = &measured[..];
    while let Some(first) = rest.first() {
        let inside = |s: &Sighting| seconds_between(first.time, s.time) < cell_s;
        let (cell, later) = rest.split_at(rest.partition_point(inside).max(1));
        cells.push(cell);
        rest = later;
    }
    let steps = cells.iter().flat_map(|cell| cell.windows(2)).map(|pair| {
        (pair[1].shift_hz - pair[0].shift_hz).abs() / pair[0].sigma_hz.hypot(pair[1].sigma_hz)
    });
    let scatter = (NORMAL * median(steps.collect()).unwrap_or(0.0)).max(1.0);
    cells.iter().filter_map(|cell| merged(cell, cell_s, scatter, floor_hz)).collect()
}

/// One cell's sighting.
fn merged(cell: &[Sighting], cell_s: f64, scatter: f64, floor_hz: f64) -> Option<Sighting> {
    let first: Timestamp = cell.first()?.time;
    let middle = median(cell.iter().map(|s| s.shift_hz).collect())?;
    let (mut weights, mut seconds, mut shift) = (0.0, 0.0, 0.0);
    for s in cell {
        let allowed = FAR * scatter * s.sigma_hz.hypot(floor_hz) + DRIFT_HZ_PER_S * cell_s;
        if (s.shift_hz - middle).abs() <= allowed {
            let weight = (s.sigma_hz * s.sigma_hz).recip();
            weights += weight;
            seconds += weight * seconds_between(first, s.time);
            shift += weight * s.shift_hz;
        }
    }
    let sigma_hz = (floor_hz * floor_hz + scatter * scatter / weights).sqrt();
    let sighting = Sighting {
        time: super::after(first, seconds / weights),
        shift_hz: shift / weights,
        sigma_hz,
    };
    (weights > 0.0 && sighting.shift_hz.is_finite() && sigma_hz.is_finite()).then_some(sighting)
}

/// Groups of sightings without a pause longer than this: bursts, in a wide sense.
pub fn bursts(sightings: &[Sighting], pause_s: f64) -> usize {
    let pauses = sightings
        .windows(2)
        .filter(|pair| seconds_between(pair[0].time, pair[1].time) > pause_s)
        .count();
    if sightings.is_empty() { 0 } else { 1 + pauses }
}

/// The median; `None` of none.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    let middle = values.len().checked_sub(1)? / 2;
    Some(*values.select_nth_unstable_by(middle, f64::total_cmp).1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::doppler::refine::tests::time;

    fn at(seconds: f64, shift_hz: f64) -> Sighting {
        Sighting { time: time(seconds), shift_hz, sigma_hz: 30.0 }
    }

    #[test]
    fn a_drift_within_a_second_does_no_harm_and_an_outlier_neither() {
        let mut measured: Vec<Sighting> =
            (0..10).map(|k| at(0.1 * f64::from(k), -15.0 * f64::from(k))).collect();
        measured.push(at(0.35, 4000.0));
        measured.push(at(5.0, 70.0));
        let merged = merge(&measured, 1.0, 10.0);
        assert_eq!(merged.len(), 2);
        assert!((merged[0].shift_hz + 67.5).abs() < 1e-6);
        assert!((seconds_between(time(0.0), merged[0].time) - 0.45).abs() < 1e-6);
        assert!((merged[0].sigma_hz - (100.0f64 + 90.0).sqrt()).abs() < 1e-6);
        assert_eq!(merged[1].shift_hz, 70.0);
        assert_eq!((bursts(&merged, 2.0), bursts(&merged, 9.0), bursts(&[], 1.0)), (2, 1, 0));
    }

    #[test]
    fn scatter_is_stated_as_it_is() {
        // ±90 Hz by turns where 30 Hz is claimed.
        let measured: Vec<Sighting> = (0..100)
            .map(|k| at(0.05 * f64::from(k), if k % 2 == 0 { 90.0 } else { -90.0 }))
            .collect();
        let merged = merge(&measured, 1.0, 0.0);
        let expected = NORMAL * 180.0 / 30.0f64.hypot(30.0) * 30.0 / 20.0f64.sqrt();
        assert!(merged.iter().all(|s| (s.sigma_hz / expected - 1.0).abs() < 1e-6), "{merged:?}");
    }

    #[test]
    fn garbage_is_left_out() {
        let mut odd = vec![at(0.0, f64::NAN), at(1.0, f64::INFINITY)];
        odd.push(Sighting { sigma_hz: 0.0, ..at(2.0, 1.0) });
        odd.push(Sighting { sigma_hz: f64::NAN, ..at(2.0, 1.0) });
        odd.push(Sighting { time: Timestamp::MAX, ..at(0.0, 1.0) });
        odd.push(Sighting { time: Timestamp::MIN, ..at(0.0, 1.0) });
        for cell_s in [1.0, 0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(merge(&odd, cell_s, 1.0).len() <= 2);
            merge(&odd, cell_s, f64::NAN);
        }
    }
}
