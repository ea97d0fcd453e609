//! Where exactly the bursts begin and end: two-state Viterbi on the energy of the symbols.
//!
//! The gate's windows are some fifty symbols long; two bursts closer than that are one to it, and
//! one acquisition over two bursts loses one of them at any signal-to-noise ratio. With the mean
//! energies N of noise and rN of a burst and two independent complex samples a symbol of mean
//! energy e, `ln p(e|burst)/p(e|noise) = 2 (e/N - e/rN) - 2 ln r`.

use super::resample::Grid;

/// Cost of a change between noise and burst.
const SWITCH: f32 = 15.0;

/// Shortest burst worth a look, in symbols.
const SHORTEST_SYMBOLS: usize = 60;

/// Least ratio of burst to noise at which the energies tell anything.
const LEAST_RATIO: f32 = 1.35;

/// Least level of noise against that of the loudest block. Far below it the capped evidence for a
/// burst would not outweigh `2 ln r`.
const LEAST_NOISE: f32 = 1e-6;

/// Ratio beyond which a burst counts as no stronger: a strong one may fade by 12 dB and is still there.
const MOST_RATIO: f32 = 12.0;

/// Where the quietest blocks lie so far above the noise floor they hold no noise but bursts.
const NO_NOISE: f32 = 1.7;

/// Longest impulse, in symbols, and how far it stands out at least.
const IMPULSE_SYMBOLS: usize = 12;
const IMPULSE_RATIO: f32 = 30.0;

/// The levels of noise and burst in a stretch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Levels {
    /// Mean energy of a sample of noise.
    pub noise: f32,
    /// Mean energy of a sample of burst and noise, over that of noise.
    pub ratio: f32,
}

impl Levels {
    /// Evidence for a burst in one symbol of mean energy `e`.
    pub fn evidence(&self, e: f32) -> f32 {
        let ratio = self.ratio.min(MOST_RATIO);
        let x = (e / self.noise - e / (self.noise * ratio)).min(20.0);
        2.0 * x - 2.0 * ratio.ln()
    }
}

/// Mean energy per symbol of a grid with two points a symbol.
pub(super) fn energies(grid: &Grid, out: &mut Vec<f32>) {
    out.clear();
    out.extend(
        grid.re
            .chunks_exact(2)
            .zip(grid.im.chunks_exact(2))
            .map(|(r, i)| 0.5 * (r[0] * r[0] + i[0] * i[0] + r[1] * r[1] + i[1] * i[1])),
    );
}

/// Whether a few symbols hold most of what stands out: an impulse, which no signal is.
pub(super) fn is_impulse(energies: &[f32]) -> bool {
    if energies.len() < 4 * IMPULSE_SYMBOLS {
        return false;
    }
    let mut sorted = energies.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let median = sorted[sorted.len() / 2];
    let excess = |part: &[f32]| part.iter().map(|e| (e - median).max(0.0)).sum::<f32>();
    let loudest = &sorted[sorted.len() - IMPULSE_SYMBOLS..];
    loudest[IMPULSE_SYMBOLS - 1] > IMPULSE_RATIO * median && excess(loudest) > 0.5 * excess(&sorted)
}

/// Estimates the levels from the energies of a stretch that holds noise and bursts; `None` if they
/// do not differ enough. `floor`: energy of a sample of noise as the gate knows it; 0 if it does not.
pub(super) fn levels(energies: &[f32], floor: f32) -> Option<Levels> {
    // Of n block means the smallest two lie below the mean, more so the more blocks there are: the
    // longer blocks of long stretches make up for it.
    let block = if energies.len() > 1500 { 48 } else { 24 };
    let mut means: Vec<f32> =
        energies.chunks_exact(block).map(|c| c.iter().sum::<f32>() / block as f32).collect();
    // A block or two of silence are outside the samples and say nothing; more are within: there is
    // no noise at all.
    if means.iter().filter(|m| **m == 0.0).count() < 3 {
        means.retain(|m| *m > 0.0);
    }
    if means.len() < 6 {
        return None;
    }
    means.sort_by(f32::total_cmp);
    let loudest = means[means.len() - 1];
    let mut noise = (means[0] + means[1]) * 0.5 * 1.12;
    // Bursts that follow each other within less than a block leave none without a signal.
    if floor > 0.0 && noise > NO_NOISE * floor {
        noise = floor;
    }
    let noise = noise.max(LEAST_NOISE * loudest);
    let ratio = means[means.len() * 6 / 10] / noise;
    (ratio.is_finite() && ratio >= LEAST_RATIO).then_some(Levels { noise, ratio })
}

/// Bursts in a stretch, as ranges of symbols.
pub(super) fn segments(energies: &[f32], levels: Levels) -> Vec<(usize, usize)> {
    let (mut quiet, mut active) = (0.0f32, -SWITCH);
    // Bit 0: quiet came from active; bit 1: active came from active.
    let mut from: Vec<u8> = Vec::with_capacity(energies.len());
    for e in energies {
        let quiet_from = active - SWITCH > quiet;
        let active_from = active >= quiet - SWITCH;
        let next_quiet = if quiet_from { active - SWITCH } else { quiet };
        let next_active = if active_from { active } else { quiet - SWITCH };
        quiet = next_quiet;
        active = next_active + levels.evidence(*e);
        from.push(u8::from(quiet_from) | u8::from(active_from) << 1);
    }
    let mut state = active > quiet;
    let mut out: Vec<(usize, usize)> = Vec::new();
    let mut end = energies.len();
    for k in (0..energies.len()).rev() {
        let before = if state { from[k] & 2 != 0 } else { from[k] & 1 != 0 };
        if before != state || k == 0 {
            if state && end - k >= SHORTEST_SYMBOLS {
                out.push((k, end));
            }
            end = k;
        }
        state = before;
    }
    out.reverse();
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn edges_are_found_and_close_bursts_parted() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let bursts = [(100, 500), (540, 900)];
        let energies: Vec<f32> = (0..1000)
            .map(|k| {
                let level =
                    if bursts.iter().any(|(a, b)| (*a..*b).contains(&k)) { 3.0 } else { 1.0 };
                // Mean of two exponential variates.
                let e = |rng: &mut ChaCha8Rng| -(1.0 - rng.random::<f32>()).ln();
                level * 0.5 * (e(&mut rng) + e(&mut rng))
            })
            .collect();
        let found = segments(&energies, levels(&energies, 0.0).unwrap());
        assert_eq!(found.len(), 2);
        for ((a, b), (c, d)) in found.iter().zip(bursts) {
            assert!(a.abs_diff(c) < 12 && b.abs_diff(d) < 12, "{found:?}");
        }
    }

    #[test]
    fn bursts_close_together_are_parted_by_the_noise_floor() {
        let energies: Vec<f32> = (0..1000).map(|k| if k % 250 < 16 { 1.0 } else { 13.0 }).collect();
        assert!(levels(&energies, 0.0).is_some_and(|l| l.noise > 3.0));
        let found = segments(&energies, levels(&energies, 1.0).unwrap());
        assert_eq!(found, [(16, 250), (266, 500), (516, 750), (766, 1000)]);
    }

    #[test]
    fn impulses_are_told_from_bursts() {
        let energies = |burst: std::ops::Range<usize>, level: f32| -> Vec<f32> {
            (0..400)
                .map(|k| if burst.contains(&k) { level } else { 1.0 + 0.5 * (k % 3) as f32 })
                .collect()
        };
        assert!(is_impulse(&energies(200..205, 1e4)));
        assert!(!is_impulse(&energies(200..205, 3.0)));
        assert!(!is_impulse(&energies(100..300, 1e4)));
        assert!(!is_impulse(&[f32::NAN; 100]) && !is_impulse(&[]));
    }

    #[test]
    fn a_burst_may_fade() {
        // From 20 dB above the noise to 6 dB.
        let energies: Vec<f32> = (0..1200)
            .map(|k| match k {
                100..700 => 101.0,
                700..1100 => 5.0,
                _ => 1.0,
            })
            .collect();
        assert_eq!(segments(&energies, levels(&energies, 0.0).unwrap()), [(100, 1100)]);
    }

    #[test]
    fn a_burst_without_any_noise_is_found() {
        for silence in [0.0, 1e-12] {
            let energies: Vec<f32> =
                (0..1000).map(|k| if (300..700).contains(&k) { 0.04 } else { silence }).collect();
            let found = segments(&energies, levels(&energies, 0.0).unwrap());
            assert_eq!(found, [(300, 700)]);
        }
    }

    #[test]
    fn noise_alone_and_nonsense_have_no_levels() {
        assert!(levels(&[], 0.0).is_none());
        assert!(levels(&[0.0; 500], 0.0).is_none());
        assert!(levels(&[1.0; 500], 0.0).is_none());
        assert!(levels(&[f32::NAN; 500], 0.0).is_none());
    }
}
