//! Carrier, symbol timing, clock, modulation index and pulse of a burst, from its own symbols.
//!
//! No preamble and no line spectrum: hypotheses are tried on the trellis itself, and the one whose
//! survivor explains the samples best is refined, one coordinate after the other. This works for
//! any index and any data, down to where the trellis itself fails.

use super::lanes::LANES;
use super::pulse::{BranchTable, PULSE_SYMBOLS, PhasePulse, PulseShape};
use super::resample::{Carrier, GRID, Grid, Interpolator, Stretch};
use super::trellis::{Hypothesis, HypothesisBranches, Memory, score};

/// Symbols of the coarse search.
const COARSE_SYMBOLS: usize = 96;
/// Symbols on which hypotheses are refined at first.
const ROUGH_SYMBOLS: usize = 128;
/// Symbols on which hypotheses are refined.
const FINE_SYMBOLS: usize = 256;
/// Symbols on which the clock is refined at last.
const CLOCK_SYMBOLS: usize = 896;
/// Fewest symbols that can be acquired.
pub(super) const LEAST_SYMBOLS: usize = 48;

/// Modulation indices of the coarse search.
const INDICES: [f64; 16] = [
    0.31, 0.35, 0.39, 0.43, 0.47, 0.51, 0.55, 0.59, 0.64, 0.69, 0.75, 0.82, 0.90, 0.98, 1.07, 1.17,
];
/// Distance of coarse frequencies in baud.
const COARSE_STEP: f64 = 0.02;
/// Clock hypotheses, from where the coarse search looked.
const STRETCHES: [f64; 5] = [0.0, -0.002, 0.002, -0.004, 0.004];
/// Where else the coarse search looks for a clock that is far off.
const FAR_STRETCHES: [f64; 4] = [-0.01, 0.01, -0.02, 0.02];
/// Largest deviation of a clock.
const LARGEST_STRETCH: f64 = 0.024;
/// Hypotheses that survive the coarse search.
const SURVIVORS: usize = 8;

/// BT of the pulses that are tried.
const PULSES_BT: [f64; 3] = [0.5, 0.3, f64::INFINITY];

/// What was found out about a burst.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Acquired {
    /// Carrier beyond the one that was removed, in cycles per symbol.
    pub frequency: f64,
    /// Start of one of its symbols (of the branch in which the symbol's pulse begins), in channel
    /// samples.
    pub symbol_start: f64,
    /// Relative excess of the symbol's length over the nominal one.
    pub stretch: f64,
    /// Modulation index.
    pub h: f64,
    /// Index of the pulse; see [`Acquisition::shape`].
    pub pulse: usize,
    /// |z| of the right branch.
    pub amplitude: f64,
    /// Metric per symbol over the root mean square of the samples: 1 for a signal without noise.
    pub quality: f64,
}

/// Where the carrier may lie against the one that was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spread {
    /// Within 0.08 baud: the gate saw this signal and no other.
    Narrow,
    /// Within 0.24 baud: the gate saw several together.
    Wide,
    /// As `Narrow`, or half a baud to either side: the spectrum may be that of an index near 1, of
    /// which one line is easily taken for the other or for the carrier.
    Lines,
    /// As `Wide`, or half a baud to either side.
    Anywhere,
    /// As `Narrow`, with a symbol clock that is up to 2.4 % off.
    Clock,
}

/// The searcher, with its tables.
pub(super) struct Acquisition {
    coarse_shape: PulseShape,
    coarse: [HypothesisBranches<4>; 2],
    shapes: [PulseShape; 3],
    grid: Grid,
}

/// A coordinate of a hypothesis.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Coordinate {
    Frequency,
    Timing,
    Stretch,
    Index,
}

/// Adds to one coordinate of a hypothesis.
fn shifted(mut hypothesis: Hypothesis, coordinate: Coordinate, by: f64) -> Hypothesis {
    match coordinate {
        Coordinate::Frequency => hypothesis.frequency += by,
        Coordinate::Timing => hypothesis.timing += by,
        Coordinate::Stretch => {
            hypothesis.stretch = (hypothesis.stretch + by).clamp(-LARGEST_STRETCH, LARGEST_STRETCH)
        }
        Coordinate::Index => hypothesis.h = (hypothesis.h + by).clamp(0.2, 1.4),
    }
    hypothesis
}

/// Top of the parabola through three values a step apart, from the middle one, in steps.
fn vertex(left: f32, middle: f32, right: f32) -> f64 {
    let curvature = left - 2.0 * middle + right;
    if curvature < 0.0 { f64::from(0.5 * (left - right) / curvature).clamp(-0.5, 0.5) } else { 0.0 }
}

impl Acquisition {
    /// With its tables.
    pub fn new() -> Self {
        let coarse_shape = PulseShape::new(&PhasePulse::new(0.5, 2));
        let tables: Vec<BranchTable> =
            INDICES.iter().map(|h| BranchTable::new(&coarse_shape, *h)).collect();
        let group = |g: usize| {
            HypothesisBranches::new(std::array::from_fn(|i| {
                (&tables[g * LANES + i], INDICES[g * LANES + i])
            }))
        };
        let coarse = [group(0), group(1)];
        let shapes = PULSES_BT.map(|bt| PulseShape::new(&PhasePulse::new(bt, PULSE_SYMBOLS)));
        Self { coarse_shape, coarse, shapes, grid: Grid::default() }
    }

    /// Shape of a pulse.
    pub fn shape(&self, pulse: usize) -> &PulseShape {
        &self.shapes[pulse % self.shapes.len()]
    }

    /// Searches a burst of `symbols` symbols with its middle at `middle` (channel samples).
    /// `carrier`: where the gate saw it. `None` if there are too few symbols or nothing but silence.
    pub fn acquire(
        &mut self,
        interpolator: &mut Interpolator,
        from: Stretch<'_>,
        carrier: Carrier,
        samples_per_symbol: f64,
        (middle, symbols): (f64, usize),
        spread: Spread,
    ) -> Option<Acquired> {
        let usable = symbols * 4 / 5;
        if usable < LEAST_SYMBOLS {
            return None;
        }
        let fine = usable.min(FINE_SYMBOLS);
        let long = usable.min(CLOCK_SYMBOLS);
        let spare = 24;
        let span = long + spare;
        let mut grid = std::mem::take(&mut self.grid);
        interpolator.grid(
            from,
            carrier,
            middle - span as f64 / 2.0 * samples_per_symbol,
            samples_per_symbol / GRID as f64,
            span * GRID + 1,
            &mut grid,
        );
        let found = self.search(&grid, fine, long, spread);
        self.grid = grid;
        let (hypothesis, amplitude, quality) = found?;
        Some(Acquired {
            frequency: hypothesis.frequency,
            symbol_start: middle + hypothesis.timing * samples_per_symbol / GRID as f64,
            stretch: hypothesis.stretch,
            h: hypothesis.h,
            pulse: hypothesis.pulse,
            amplitude,
            quality,
        })
    }

    fn search(
        &self,
        grid: &Grid,
        fine: usize,
        long: usize,
        spread: Spread,
    ) -> Option<(Hypothesis, f64, f64)> {
        let half = fine * GRID / 2;
        let around = grid.re.len() / 2 - half..grid.re.len() / 2 + half;
        let power: f32 = grid.re[around.clone()]
            .iter()
            .zip(&grid.im[around])
            .map(|(r, i)| r * r + i * i)
            .sum::<f32>()
            / (2 * half) as f32;
        if power.is_nan() || power <= 1e-24 || power.is_infinite() {
            return None;
        }
        let rms = power.sqrt();
        // A carries most of the power; the loops' scale need not be exact here.
        let amplitude = 0.7 * rms * 4.0;
        let mut best = self.coarse(grid, fine, spread, amplitude);
        let mut value = 0.0;
        let rough = fine.min(ROUGH_SYMBOLS);
        for (coordinate, step, symbols) in [
            (Coordinate::Timing, 1.0, rough),
            (Coordinate::Frequency, 0.006, rough),
            (Coordinate::Index, 0.02, rough),
            (Coordinate::Stretch, 0.2 / fine as f64, fine),
            (Coordinate::Frequency, 0.003, fine),
            (Coordinate::Timing, 1.0, fine),
        ] {
            (best, value) = self.refine(grid, symbols, amplitude, best, coordinate, step);
        }
        // The pulse, and the index with it: a wrong pulse shifts the index.
        let candidates: Vec<(Hypothesis, f32)> = (0..PULSES_BT.len())
            .map(|pulse| {
                let from = Hypothesis { pulse, ..best };
                self.refine(grid, fine, amplitude, from, Coordinate::Index, 0.015)
            })
            .collect();
        for (hypothesis, v) in candidates {
            if v > value || hypothesis.pulse == best.pulse {
                (best, value) = (hypothesis, v.max(value));
            }
        }
        if long > fine {
            let step = 0.2 / long as f64;
            (best, _) = self.refine(grid, long, amplitude, best, Coordinate::Stretch, step);
        }
        let quality = f64::from(value / (4.0 * rms));
        Some((best, f64::from(value) * 0.97, quality))
    }

    /// Every frequency, timing and index on few symbols; then the best few with clocks on many.
    fn coarse(&self, grid: &Grid, fine: usize, spread: Spread, amplitude: f32) -> Hypothesis {
        let symbols = fine.min(COARSE_SYMBOLS);
        let centres: &[(f64, i32)] = match spread {
            Spread::Narrow | Spread::Clock => &[(0.0, 4)],
            Spread::Wide => &[(0.0, 12)],
            Spread::Lines => &[(0.0, 4), (-0.5, 4), (0.5, 4)],
            Spread::Anywhere => &[(0.0, 12), (-0.5, 4), (0.5, 4)],
        };
        let stretches: &[f64] = if spread == Spread::Clock { &FAR_STRETCHES } else { &[0.0] };
        let mut tried: Vec<(f32, Hypothesis)> = Vec::with_capacity(41 * 4 * INDICES.len());
        for (c, (centre, reach)) in centres.iter().enumerate() {
            for f in -reach..=*reach {
                for quarter in 0..4 {
                    for (group, branches) in self.coarse.iter().enumerate() {
                        if c > 0 && group == 0 {
                            continue;
                        }
                        for stretch in stretches {
                            let hypotheses: [Hypothesis; LANES] =
                                std::array::from_fn(|i| Hypothesis {
                                    frequency: centre + f64::from(f) * COARSE_STEP,
                                    timing: f64::from(quarter) * 2.0,
                                    stretch: *stretch,
                                    h: INDICES[group * LANES + i],
                                    pulse: 0,
                                });
                            let scores = score::<4, 4, true>(
                                grid,
                                branches,
                                &hypotheses,
                                symbols,
                                Memory::COARSE,
                                amplitude,
                            );
                            tried.extend(scores.into_iter().zip(hypotheses));
                        }
                    }
                }
            }
        }
        tried.select_nth_unstable_by(SURVIVORS, |a, b| b.0.total_cmp(&a.0));
        tried.truncate(SURVIVORS);
        tried.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut best = (f32::MIN, tried[0].1);
        let tables: Vec<BranchTable> =
            tried.iter().map(|(_, t)| BranchTable::new(&self.coarse_shape, t.h)).collect();
        let branches =
            HypothesisBranches::<4>::new(std::array::from_fn(|i| (&tables[i], tried[i].1.h)));
        for stretch in STRETCHES {
            let hypotheses: [Hypothesis; LANES] = std::array::from_fn(|i| Hypothesis {
                stretch: tried[i].1.stretch + stretch,
                ..tried[i].1
            });
            let scores =
                score::<4, 4, false>(grid, &branches, &hypotheses, fine, Memory::COARSE, amplitude);
            for (value, hypothesis) in scores.into_iter().zip(hypotheses) {
                if value > best.0 {
                    best = (value, hypothesis);
                }
            }
        }
        best.1
    }

    /// Tries eight values of one coordinate, goes on where the best lies at the edge, and ends at
    /// the top of the parabola. Returns the hypothesis and its metric per symbol.
    fn refine(
        &self,
        grid: &Grid,
        symbols: usize,
        amplitude: f32,
        from: Hypothesis,
        coordinate: Coordinate,
        step: f64,
    ) -> (Hypothesis, f32) {
        let mut centre = from;
        for round in 0..3 {
            let hypotheses: [Hypothesis; LANES] =
                std::array::from_fn(|i| shifted(centre, coordinate, (i as f64 - 4.0) * step));
            let shape = self.shape(from.pulse);
            let scores = if coordinate == Coordinate::Index {
                let tables = hypotheses.map(|h| BranchTable::new(shape, h.h));
                let branches = HypothesisBranches::<16>::new(std::array::from_fn(|i| {
                    (&tables[i], hypotheses[i].h)
                }));
                self.score(grid, &branches, &hypotheses, symbols, amplitude)
            } else {
                let table = BranchTable::new(shape, centre.h);
                let branches = HypothesisBranches::<16>::new([(&table, centre.h); LANES]);
                self.score(grid, &branches, &hypotheses, symbols, amplitude)
            };
            let mut top = 0;
            for i in 1..LANES {
                if scores[i] > scores[top] {
                    top = i;
                }
            }
            let inside = top > 0 && top < LANES - 1;
            if !inside && round < 2 {
                centre = hypotheses[top];
                continue;
            }
            let extra =
                if inside { vertex(scores[top - 1], scores[top], scores[top + 1]) } else { 0.0 };
            return (shifted(hypotheses[top], coordinate, extra * step), scores[top]);
        }
        (centre, 0.0)
    }

    fn score(
        &self,
        grid: &Grid,
        branches: &HypothesisBranches<16>,
        hypotheses: &[Hypothesis; LANES],
        symbols: usize,
        amplitude: f32,
    ) -> [f32; LANES] {
        score::<8, 16, false>(grid, branches, hypotheses, symbols, Memory::TRACKING, amplitude)
    }
}
