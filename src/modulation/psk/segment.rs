//! One piece of a segment: samples with a coarse frequency track → phase-corrected symbols.

use num_complex::Complex32;

use super::Settings;
use super::matched_filter::{GRID, MatchedFilter, Track};
use super::phase::{self, FrequencyTracker, Level};
use super::timing::{self, Interpolator};

/// Another filter than the first must open the eye this much more.
const FILTER_MARGIN: f64 = 1.03;

/// The stages that work on a piece, with their tables and buffers.
pub struct PieceDemodulator {
    sample_rate_hz: f64,
    symbol_rate_bd: f64,
    msk: bool,
    timing_window_blocks: usize,
    phase_window_symbols: usize,
    decision_window_symbols: usize,
    crosstalk: f32,
    filters: Vec<MatchedFilter>,
    tracker: FrequencyTracker,
    interpolator: Interpolator,
    grid: Vec<Complex32>,
}

/// What a piece gave.
#[derive(Debug, Clone, Default)]
pub struct Piece {
    /// Symbols with the signal in the real part, in one polarity or the other.
    pub symbols: Vec<Complex32>,
    /// Position of the middle of each, in samples.
    pub positions: Vec<f64>,
    /// Signal and noise around each.
    pub levels: Vec<Level>,
    /// Carrier, in Hz over sample positions: the coarse track.
    pub coarse_hz: Track,
    /// What was left, in cycles per symbol over symbol index.
    pub residual: Track,
    /// Windows in which the carrier was seen in the symbols: 0 for what was no signal.
    pub carrier_windows: usize,
    /// The matched filter used, an index into the settings' pulses.
    pub filter: usize,
}

impl Piece {
    /// Mean amplitude squared over its variance, where the signal is: noise and intersymbol
    /// interference both close the eye.
    fn eye_opening(&self) -> f64 {
        let strongest = self.levels.iter().map(|l| l.signal).fold(0.0, f32::max);
        let (mut sum, mut square, mut count) = (0.0f64, 0.0f64, 0.0f64);
        for (x, level) in self.symbols.iter().zip(&self.levels) {
            if level.signal > 0.5 * strongest {
                sum += f64::from(x.re.abs());
                square += f64::from(x.re * x.re);
                count += 1.0;
            }
        }
        sum * sum / (count * square - sum * sum).max(1e-30)
    }

    /// Carrier at symbol `i`.
    pub fn frequency_hz(&self, i: usize, symbol_rate_bd: f64) -> f64 {
        let position = self.positions.get(i).copied().unwrap_or(0.0);
        self.coarse_hz.interpolate(position) + self.residual.interpolate(i as f64) * symbol_rate_bd
    }
}

impl PieceDemodulator {
    /// The stages for samples at this rate.
    pub fn new(settings: &Settings, sample_rate_hz: f64) -> Self {
        let sps = sample_rate_hz / settings.symbol_rate_bd;
        let leak = settings.pulses.first().map_or(0.0, |p| p.autocorrelation(1.0));
        Self {
            sample_rate_hz,
            symbol_rate_bd: settings.symbol_rate_bd,
            msk: settings.msk,
            timing_window_blocks: settings.timing_window_blocks,
            phase_window_symbols: settings.phase_window_symbols,
            decision_window_symbols: settings.decision_window_symbols,
            crosstalk: if settings.msk { (2.0 * leak * leak).min(0.8) as f32 } else { 0.0 },
            filters: settings.pulses.iter().map(|p| MatchedFilter::new(p, sps)).collect(),
            tracker: FrequencyTracker::new(
                settings.frequency_window_symbols,
                settings.frequency_threshold,
            ),
            interpolator: Interpolator::new(),
            grid: Vec::new(),
        }
    }

    /// Demodulates `samples`, of which the first stands at `first_sample`, around the carrier
    /// `coarse_hz` (over sample positions), with the matched filter that was chosen earlier or
    /// otherwise the one that opens the eye widest.
    pub fn run(
        &mut self,
        samples: &[Complex32],
        first_sample: u64,
        coarse_hz: &Track,
        filter: Option<usize>,
    ) -> Piece {
        if let Some(filter) = filter {
            return self.filtered(samples, first_sample, coarse_hz, filter);
        }
        let mut best = self.filtered(samples, first_sample, coarse_hz, 0);
        let mut widest = best.eye_opening();
        for filter in 1..self.filters.len() {
            let piece = self.filtered(samples, first_sample, coarse_hz, filter);
            let opening = piece.eye_opening();
            if opening > FILTER_MARGIN * widest {
                widest = opening;
                best = piece;
            }
        }
        best
    }

    fn filtered(
        &mut self,
        samples: &[Complex32],
        first_sample: u64,
        coarse_hz: &Track,
        filter: usize,
    ) -> Piece {
        let sps = self.sample_rate_hz / self.symbol_rate_bd;
        let step = sps / GRID as f64;
        let first_point = (first_sample as f64 / step).ceil() as i64;
        let points = (samples.len() as f64 / step).floor() as usize;
        self.grid.clear();
        self.grid.resize(points, Complex32::default());
        let Some(matched) = self.filters.get_mut(filter) else { return Piece::default() };
        matched.run(
            samples,
            first_sample,
            self.sample_rate_hz,
            coarse_hz,
            first_point,
            &mut self.grid,
        );
        let clock = timing::estimate(&self.grid, self.msk, self.timing_window_blocks);
        let mut piece = Piece { coarse_hz: coarse_hz.clone(), filter, ..Piece::default() };
        self.interpolator.symbols(&self.grid, &clock, &mut piece.symbols, &mut piece.positions);
        if let Some(matched) = self.filters.get(filter) {
            matched.refine(&piece.positions, &mut piece.symbols);
        }
        for p in &mut piece.positions {
            *p = (first_point as f64 + *p) * step;
        }
        if self.msk {
            // j^k takes the turn of ±90° per symbol to 180° for bit 1 and 0 for bit 0.
            for (k, x) in piece.symbols.iter_mut().enumerate() {
                *x = match k & 3 {
                    0 => *x,
                    1 => Complex32::new(-x.im, x.re),
                    2 => -*x,
                    _ => Complex32::new(x.im, -x.re),
                };
            }
        }
        (piece.residual, piece.carrier_windows) = self.tracker.track(&piece.symbols);
        phase::remove_frequency(&mut piece.symbols, &piece.residual);
        phase::remove_phase(&mut piece.symbols, self.phase_window_symbols);
        if self.decision_window_symbols > 0 {
            phase::refine_phase(&mut piece.symbols, self.decision_window_symbols);
        }
        phase::levels(&piece.symbols, self.crosstalk, &mut piece.levels);
        piece
    }
}
