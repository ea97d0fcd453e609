//! The streaming receiver: windows of samples → tracks of detections → pieces → soft blocks.
//!
//! Windows stand at absolute positions (window i begins at sample `round(i·hop)`), every decision
//! is made after a whole window, and a piece is demodulated when the last detection lies beyond
//! its end: the output does not depend on how the samples were cut into calls.
//!
//! A track of detections is a burst or a continuous signal. It becomes one run, in pieces that
//! overlap by a margin in which estimates settle. At a seam the next symbol is the one closest to
//! one period after the last one, and the polarity is the one in which the symbols before the seam
//! repeat those of the previous piece.

use num_complex::Complex32;

use super::Settings;
use super::acquisition::{Acquisition, Detection};
use super::matched_filter::Track;
use super::segment::{Piece, PieceDemodulator};
use crate::modulation::{Demodulator, SoftBlock};

/// Symbols per soft block.
const BLOCK_SYMBOLS: usize = 512;
/// Symbols kept of the last piece to find the polarity of the next.
const SEAM_SYMBOLS: usize = 256;
/// A track whose last line was this many times the threshold bears a look at every other window.
const RESTFUL_STRENGTH: f32 = 3.0;
/// Samples are limited to ± this, so that no square overflows.
const SAMPLE_LIMIT: f32 = 1e4;
/// Samples taken at once.
const CHUNK: usize = 1 << 16;

/// Detections that belong together.
#[derive(Debug, Clone)]
struct SignalTrack {
    /// Carrier over sample positions (middles of windows).
    frequency: Track,
    /// Its drift in the last window.
    drift_hz_per_s: f64,
    /// Index of the last window with a detection.
    last_window: u64,
    windows: usize,
    strongest: f32,
    last_strength: f32,
    /// Where the segment begins.
    start: u64,
    /// Where its next piece begins.
    next: u64,
    run: Option<RunState>,
}

/// A run that has begun.
#[derive(Debug, Clone, Default)]
struct RunState {
    run: u64,
    symbols: u64,
    /// The last symbols handed on, in the run's polarity, and their positions.
    tail: Vec<Complex32>,
    tail_positions: Vec<f64>,
    samples_per_symbol: f64,
    /// The matched filter chosen in its first piece.
    filter: usize,
}

/// Demodulator of BPSK and MSK-type signals.
pub struct PskDemodulator {
    settings: Settings,
    samples_per_symbol: f64,
    hop: f64,
    acquisition: Acquisition,
    pieces: PieceDemodulator,
    buffer: Vec<Complex32>,
    /// Position of the buffer's first sample.
    base: u64,
    next_window: u64,
    tracks: Vec<SignalTrack>,
    detections: Vec<Detection>,
    next_run: u64,
}

impl PskDemodulator {
    /// A demodulator for samples at `sample_rate_hz`.
    pub fn new(settings: Settings, sample_rate_hz: f64) -> Self {
        let least = settings.symbol_rate_bd * 1.5;
        let sample_rate_hz = if sample_rate_hz >= least { sample_rate_hz } else { least };
        let samples_per_symbol = sample_rate_hz / settings.symbol_rate_bd;
        let acquisition = Acquisition::new(settings.target(), sample_rate_hz);
        let pieces = PieceDemodulator::new(&settings, sample_rate_hz);
        Self {
            samples_per_symbol,
            hop: (0.5 * acquisition.window_samples() as f64).max(1.0),
            settings,
            acquisition,
            pieces,
            buffer: Vec::new(),
            base: 0,
            next_window: 0,
            tracks: Vec::new(),
            detections: Vec::new(),
            next_run: 0,
        }
    }

    fn window_start(&self, index: u64) -> u64 {
        (index as f64 * self.hop).round() as u64
    }

    fn sample_rate_hz(&self) -> f64 {
        self.samples_per_symbol * self.settings.symbol_rate_bd
    }

    /// Symbols → samples.
    fn samples(&self, symbols: usize) -> u64 {
        (symbols as f64 * self.samples_per_symbol).round() as u64
    }

    /// A segment reaches this far beyond the windows in which it was seen.
    fn reach(&self) -> u64 {
        self.samples(self.settings.window_symbols / 2)
    }

    fn received(&self) -> u64 {
        self.base + self.buffer.len() as u64
    }

    /// Analyses the window of this index, which may reach beyond the samples.
    fn window(&mut self, index: u64, out: &mut Vec<SoftBlock>) {
        let start = self.window_start(index);
        let length = self.acquisition.window_samples();
        let from = ((start - self.base) as usize).min(self.buffer.len());
        let to = (from + length).min(self.buffer.len());
        self.detections.clear();
        self.next_window = index + 1;
        if self.restful(index) {
            return;
        }
        self.acquisition.analyse(&self.buffer[from..to], &mut self.detections);
        self.follow(index, out);
    }

    /// Windows overlap by half. While every track is strong, every other window will do.
    fn restful(&self, index: u64) -> bool {
        let strong = RESTFUL_STRENGTH * self.settings.threshold;
        index % 2 == 1
            && !self.tracks.is_empty()
            && self
                .tracks
                .iter()
                .all(|t| t.last_window + 1 == index && t.windows > 2 && t.last_strength > strong)
    }

    /// Continues, closes and opens tracks with the detections of window `index`.
    fn follow(&mut self, index: u64, out: &mut Vec<SoftBlock>) {
        let start = self.window_start(index);
        let length = self.acquisition.window_samples() as u64;
        let middle = start as f64 + 0.5 * length as f64;
        let hop_s = self.hop / self.sample_rate_hz();
        let window_s = length as f64 / self.sample_rate_hz();
        let base_hz = self.settings.tolerance * self.settings.symbol_rate_bd;
        let mut detections = std::mem::take(&mut self.detections);
        for track in &mut self.tracks {
            let since_s = (index - track.last_window) as f64 * hop_s;
            let tolerance = base_hz.max(self.settings.drift_error(track.drift_hz_per_s) * since_s);
            let last = track.frequency.value.last().copied().unwrap_or(0.0);
            let due = last + track.drift_hz_per_s * since_s;
            let nearest = (0..detections.len())
                .map(|i| (i, (detections[i].frequency_hz - due).abs()))
                .filter(|(_, distance)| *distance < tolerance)
                .min_by(|a, b| a.1.total_cmp(&b.1));
            if let Some((i, _)) = nearest {
                let detection = detections.swap_remove(i);
                track.frequency.add(middle, detection.frequency_hz);
                track.drift_hz_per_s = detection.drift_hz_per_s;
                track.last_window = index;
                track.windows += 1;
                track.last_strength = detection.strength;
                track.strongest = track.strongest.max(detection.strength);
            }
        }
        let mut i = 0;
        while i < self.tracks.len() {
            if index - self.tracks[i].last_window > self.settings.max_misses {
                let track = self.tracks.remove(i);
                self.close(track, out);
            } else {
                i += 1;
            }
        }
        for detection in detections.drain(..) {
            let begin = start.saturating_sub(self.reach()).max(self.base);
            self.tracks.push(SignalTrack {
                // The segment reaches a window back from here.
                frequency: Track {
                    at: vec![middle - length as f64, middle],
                    value: vec![
                        detection.frequency_hz - detection.drift_hz_per_s * window_s,
                        detection.frequency_hz,
                    ],
                },
                drift_hz_per_s: detection.drift_hz_per_s,
                last_window: index,
                windows: 1,
                strongest: detection.strength,
                last_strength: detection.strength,
                start: begin,
                next: begin,
                run: None,
            });
        }
        self.detections = detections;

        // Pieces of long segments.
        let piece = self.samples(self.settings.piece_symbols);
        let margin = self.samples(self.settings.margin_symbols);
        let mut tracks = std::mem::take(&mut self.tracks);
        for track in &mut tracks {
            let seen = self.window_start(track.last_window) + length;
            while self.confirmed(track) && track.next + piece + margin <= seen {
                let end = track.next + piece;
                self.demodulate(track, end, end + margin, false, out);
            }
        }
        self.tracks = tracks;
    }

    fn confirmed(&self, track: &SignalTrack) -> bool {
        track.strongest > self.settings.confirm_threshold
            || track.windows >= self.settings.confirm_windows
    }

    /// Demodulates what is left of a track that has ended.
    fn close(&mut self, mut track: SignalTrack, out: &mut Vec<SoftBlock>) {
        if !self.confirmed(&track) {
            return;
        }
        let window = self.acquisition.window_samples() as u64;
        let last = self.window_start(track.last_window) + window;
        // The segment reaches a window on from the middle of the last one.
        if let (Some(&at), Some(&value)) = (track.frequency.at.last(), track.frequency.value.last())
        {
            let change_hz = track.drift_hz_per_s * window as f64 / self.sample_rate_hz();
            track.frequency.add(at + window as f64, value + change_hz);
        }
        let end = (last + self.reach()).min(self.received());
        self.demodulate(&mut track, end, end, true, out);
    }

    /// Demodulates a track's samples from its next piece to `end`, looking as far as `horizon`.
    fn demodulate(
        &mut self,
        track: &mut SignalTrack,
        end: u64,
        horizon: u64,
        last: bool,
        out: &mut Vec<SoftBlock>,
    ) {
        let margin = self.samples(self.settings.margin_symbols);
        let begin = track.next.saturating_sub(margin).max(track.start).max(self.base);
        let horizon = horizon.min(self.received());
        let samples = if begin < horizon {
            &self.buffer[(begin - self.base) as usize..(horizon - self.base) as usize]
        } else {
            &[]
        };
        let piece =
            self.pieces.run(samples, begin, &track.frequency, track.run.as_ref().map(|r| r.filter));
        let first = track.next == track.start;
        if first && last && piece.carrier_windows == 0 {
            return; // A line in one window of noise.
        }
        let state = track.run.get_or_insert_with(|| {
            let run = self.next_run;
            self.next_run += 1;
            RunState {
                run,
                samples_per_symbol: self.samples_per_symbol,
                filter: piece.filter,
                ..RunState::default()
            }
        });
        emit(&self.settings, state, &piece, end as f64, last, out);
        track.next = end;
        // The detections before the next piece's margin are not needed again.
        let keep = track
            .frequency
            .at
            .partition_point(|at| *at < end.saturating_sub(margin) as f64)
            .saturating_sub(1);
        track.frequency.at.drain(..keep);
        track.frequency.value.drain(..keep);
    }

    /// Forgets the samples that no window and no track needs.
    fn discard(&mut self) {
        let margin = self.samples(self.settings.margin_symbols);
        let window = self.window_start(self.next_window).saturating_sub(self.reach());
        let needed = self
            .tracks
            .iter()
            .map(|t| t.next.saturating_sub(margin).max(t.start))
            .fold(window, u64::min);
        let unused = (needed.saturating_sub(self.base) as usize).min(self.buffer.len());
        if unused > CHUNK {
            self.buffer.drain(..unused);
            self.base += unused as u64;
        }
    }
}

/// Appends the piece's symbols up to `end` that follow those already handed on.
fn emit(
    settings: &Settings,
    state: &mut RunState,
    piece: &Piece,
    end: f64,
    last: bool,
    out: &mut Vec<SoftBlock>,
) {
    let positions = &piece.positions;
    let from = match state.tail_positions.last() {
        None => 0,
        Some(previous) => {
            let due = previous + 0.5 * state.samples_per_symbol;
            positions.partition_point(|p| *p < due)
        }
    };
    let to = positions.partition_point(|p| *p < end).max(from);
    // Pair the symbols before the seam with those of the previous piece.
    let common = from.min(state.tail.len());
    let agreement: f32 = piece.symbols[from - common..from]
        .iter()
        .zip(&state.tail[state.tail.len() - common..])
        .map(|(a, b)| a.re * b.re)
        .sum();
    let sign = if agreement < 0.0 { -1.0 } else { 1.0 };
    if to - from > 1 {
        state.samples_per_symbol = (positions[to - 1] - positions[from]) / (to - from - 1) as f64;
    }
    let mut start = from;
    while start < to {
        let stop = (start + BLOCK_SYMBOLS).min(to);
        let count = stop - start;
        let (mut signal, mut noise) = (0.0f32, 0.0f32);
        let llr = (start..stop)
            .map(|i| {
                let level = piece.levels[i];
                signal += level.signal;
                noise += level.noise;
                let gain = sign * 4.0 * level.signal.sqrt() / level.noise;
                (gain * piece.symbols[i].re).clamp(-1e4, 1e4)
            })
            .collect();
        let spacing = if count > 1 {
            (positions[stop - 1] - positions[start]) / (count - 1) as f64
        } else {
            state.samples_per_symbol
        };
        let ratio = (signal / noise.max(1e-30)).max(1e-3);
        out.push(SoftBlock {
            run: state.run,
            first_symbol: state.symbols,
            first_sample: positions[start],
            samples_per_symbol: spacing,
            frequency_offset_hz: piece.frequency_hz(start + count / 2, settings.symbol_rate_bd),
            esn0_db: 10.0 * ratio.log10(),
            mapping: settings.mapping,
            llr,
            events: Vec::new(),
            end: last && stop == to,
        });
        state.symbols += count as u64;
        start = stop;
    }
    if last && from == to {
        let at = state.tail_positions.last().map_or(end, |p| p + state.samples_per_symbol);
        out.push(SoftBlock {
            run: state.run,
            first_symbol: state.symbols,
            first_sample: at,
            samples_per_symbol: state.samples_per_symbol,
            frequency_offset_hz: piece.frequency_hz(from, settings.symbol_rate_bd),
            esn0_db: -30.0,
            mapping: settings.mapping,
            llr: Vec::new(),
            events: Vec::new(),
            end: true,
        });
    }
    if to > from {
        let kept = to.saturating_sub(SEAM_SYMBOLS).max(from);
        state.tail.clear();
        state.tail.extend(piece.symbols[kept..to].iter().map(|x| x * sign));
        state.tail_positions.clear();
        state.tail_positions.extend_from_slice(&positions[kept..to]);
    }
}

/// Samples that are no numbers become 0, large ones are limited.
fn clean(x: Complex32) -> Complex32 {
    let part = |v: f32| if v.is_finite() { v.clamp(-SAMPLE_LIMIT, SAMPLE_LIMIT) } else { 0.0 };
    Complex32::new(part(x.re), part(x.im))
}

impl Demodulator for PskDemodulator {
    fn push(&mut self, samples: &[Complex32], out: &mut Vec<SoftBlock>) {
        let length = self.acquisition.window_samples() as u64;
        for chunk in samples.chunks(CHUNK) {
            self.buffer.extend(chunk.iter().map(|x| clean(*x)));
            while self.window_start(self.next_window) + length <= self.received() {
                self.window(self.next_window, out);
            }
            self.discard();
        }
    }

    fn finish(&mut self, out: &mut Vec<SoftBlock>) {
        while self.window_start(self.next_window) < self.received() {
            self.window(self.next_window, out);
        }
        for track in std::mem::take(&mut self.tracks) {
            self.close(track, out);
        }
        self.buffer.clear();
        self.base = 0;
        self.next_window = 0;
    }

    fn settled_sample(&self) -> f64 {
        let window = self.window_start(self.next_window).saturating_sub(self.reach());
        self.tracks.iter().filter(|t| t.run.is_none()).map(|t| t.start).fold(window, u64::min)
            as f64
    }
}
