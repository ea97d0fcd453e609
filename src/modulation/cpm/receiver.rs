//! The burst receiver: gate → edges → acquisition → first pass → soft symbols.
//!
//! Everything happens when a window of the gate is decided, which depends on how many samples have
//! come and not on how they were cut into calls; and it sees the samples up to the gate's newest
//! window and no further.
//!
//! A stretch in which the gate is open for fewer than [`LONG_SYMBOLS`] symbols is looked at as a
//! whole when it has closed. A longer one is tracked while it lasts, in bounded memory.

use num_complex::Complex32;

use super::acquisition::{Acquisition, LEAST_SYMBOLS, Spread};
use super::gate::{DETECTING, Floor, Gate, TEMPLATE_H};
use super::passes::{Order, Passes};
use super::resample::{Band, Carrier, Grid, Interpolator, Stretch};
use super::run::Run;
use super::segments::{Levels, energies, is_impulse, levels, segments};
use super::spurs::SpurRemover;
use super::tracker::{BLOCK, Decided, Tracker};
use crate::effort::Effort;
use crate::modulation::{Demodulator, SoftBlock};

/// The gate opens and closes at these many standard deviations of noise, where it has few places
/// to look at.
const OPEN: f32 = 6.0;
const CLOSE: f32 = 3.5;
/// So many places, half a symbol rate apart.
const FEW_PLACES: f64 = 5.0;
/// Windows below the closing threshold that end a stretch.
const HANGOVER: u64 = 3;
/// A stretch that lasts longer is tracked while it lasts.
const LONG_SYMBOLS: f64 = 8192.0;
/// The same, where there is more than one signal, since only one can be tracked.
const CROWDED_SYMBOLS: f64 = 32768.0;
/// Symbols of silence looked at on either side of a stretch.
const MARGIN_SYMBOLS: f64 = 64.0;
/// The trellis starts so many symbols before a burst, and ends so many after it.
const LEAD_SYMBOLS: f64 = 32.0;
/// Symbols given out before and after a burst.
const SPARE_SYMBOLS: f64 = 16.0;
/// Expected number of wrong events in a burst above which there are further passes.
const LEAST_DOUBT: f64 = 1e-3;
/// Symbols at the edges of a burst that count for nothing there.
const EDGE_SYMBOLS: f64 = 8.0;
/// Metric over root mean square below which there is nothing but noise.
const LEAST_QUALITY: f64 = 0.60;
/// Carriers further apart than this, in symbol rates, are worth another acquisition.
const OTHER_BAUD: f64 = 0.06;
/// Further attempts at acquisition that may be made at once, and after how many symbols there is
/// one more: false bursts must not take all the time.
const MOST_CREDIT: f64 = 12.0;
const CREDIT_SYMBOLS: f64 = 2048.0;
/// What an attempt with another clock counts.
const CLOCK_ATTEMPTS: f64 = 4.0;
/// Share of the signal in the power from which on noise hides no poor fit.
const STRONG_SHARE: f64 = 0.85;
/// Windows whose spectra are averaged for the carrier.
const AVERAGED_WINDOWS: u32 = 1600;
/// Beyond this many symbols the acquisition is done near the start.
const ACQUIRED_WITHIN: f64 = 2500.0;
/// Blocks of a tracked signal that are decided at once, by its symbol rate: slow ones can afford to
/// be told at once, and would have to wait longer.
const fn group_blocks(symbol_rate_bd: f64) -> usize {
    if symbol_rate_bd < 50e3 { 1 } else { 4 }
}
/// Evidence against a burst, in nats, at which a tracked signal has ended.
const MOST_DOUBT: f32 = 20.0;
/// Coherence below which a tracked signal is given up.
const LEAST_LOCK: f64 = 0.55;
/// Input beyond this magnitude is clipped.
const LARGEST_INPUT: f32 = 1e4;

/// What the receiver is to look for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Search {
    /// Channel sample rate.
    pub sample_rate_hz: f64,
    /// Nominal symbol rate.
    pub symbol_rate_bd: f64,
    /// Carriers within ± this.
    pub search_hz: f64,
    /// The channel is flat within ± this.
    pub half_bandwidth_hz: f64,
    /// How far to go for a frame.
    pub effort: Effort,
}

/// A signal that is being tracked.
struct Tracked {
    tracker: Tracker,
    run: Run,
    levels: Option<Levels>,
    /// Where the burst begins beyond doubt.
    certain_from: f64,
    /// Sum of the evidence against a burst since it was largest.
    doubt: f32,
    /// Where the evidence against began.
    doubt_from: f64,
    /// The low-pass that it is received with.
    band: Band,
}

/// A stretch in which the gate is open.
struct Open {
    first_window: u64,
    last_window: u64,
    /// First sample that belongs to it; later than the first window's if what was before has been
    /// dealt with.
    from: f64,
    spectrum: Vec<f32>,
    /// The same over the flat floor, for the gate with a floor per bin.
    flat: Vec<f32>,
    windows: u32,
    /// The flat floor keeps it open as well.
    sustained: bool,
    /// It is looked at when it has lasted for so many symbols, even if it goes on.
    patience_symbols: f64,
    tracked: Option<Box<Tracked>>,
}

/// One of the two gates.
struct Detector {
    floor: Floor,
    /// Statistics of the last windows, the newest last.
    recent: Vec<f32>,
    open: Option<Open>,
    /// Nothing before this sample is looked at again.
    done: f64,
}

/// The demodulator.
pub(super) struct BurstReceiver {
    search: Search,
    samples_per_symbol: f64,
    gate: Gate,
    spurs: SpurRemover,
    interpolator: Interpolator,
    acquisition: Acquisition,
    /// Further attempts at acquisition that may be made now.
    credit: f64,
    /// Samples from `first` on, without spurs: those of the gate's windows, once it is warm.
    samples: Vec<Complex32>,
    first: u64,
    received: u64,
    decided: u64,
    detectors: [Detector; 2],
    group_blocks: usize,
    /// Thresholds of the gate.
    open_at: f32,
    close_at: f32,
    /// Stretches dealt with by the gate with a floor per bin.
    covered: Vec<(f64, f64)>,
    next_run: u64,
    grid: Grid,
    energy: Vec<f32>,
    pieces: Vec<Decided>,
    passes: Passes,
}

/// Events that are expected to have been decided wrongly within a burst.
fn wrong_symbols(pieces: &[Decided], burst: (f64, f64)) -> f64 {
    let mut sum = 0.0;
    for piece in pieces {
        let symbol = piece.samples_per_symbol;
        let at = |k: u64| piece.first_sample + (k as f64 - piece.first_symbol as f64) * symbol;
        let (first, last) = (burst.0 + EDGE_SYMBOLS * symbol, burst.1 - EDGE_SYMBOLS * symbol);
        for event in &piece.events {
            let end = event.first_symbol + u64::from(63 - event.pattern.leading_zeros().min(63));
            if at(event.first_symbol) > first && at(end) < last {
                sum += f64::from((-event.cost).exp().ln_1p());
            }
        }
    }
    sum
}

impl BurstReceiver {
    /// For a channel.
    pub fn new(search: Search) -> Self {
        let samples_per_symbol = search.sample_rate_hz / search.symbol_rate_bd;
        let rate = search.sample_rate_hz;
        let room = (rate / 2.0 - 0.6 * search.symbol_rate_bd).max(0.0);
        let gate = Gate::new(
            samples_per_symbol,
            search.search_hz.min(room) / rate,
            search.half_bandwidth_hz.min(rate / 2.0) / rate,
            rate,
            (&TEMPLATE_H, &DETECTING),
        );
        // The largest of n values of noise grows as √(2 ln n) standard deviations: without that, a
        // wide search would find something everywhere, and no stretch would ever close.
        let largest = |places: f64| (2.0 * places.ln()).sqrt();
        let places = (4.0 * search.search_hz.min(room) / search.symbol_rate_bd).max(FEW_PLACES);
        let excess = (1.3 * (largest(places) - largest(FEW_PLACES))) as f32;
        let detector = |floor| Detector { floor, recent: Vec::new(), open: None, done: 0.0 };
        Self {
            search,
            samples_per_symbol,
            spurs: SpurRemover::new(gate.hop()),
            credit: MOST_CREDIT,
            gate,
            interpolator: Interpolator::new(samples_per_symbol),
            acquisition: Acquisition::new(),
            samples: Vec::new(),
            first: 0,
            received: 0,
            decided: 0,
            detectors: [detector(Floor::PerBin), detector(Floor::Flat)],
            group_blocks: group_blocks(search.symbol_rate_bd),
            open_at: OPEN + excess,
            close_at: CLOSE + excess,
            covered: Vec::new(),
            next_run: 0,
            grid: Grid::default(),
            energy: Vec::new(),
            pieces: Vec::new(),
            passes: Passes::default(),
        }
    }

    /// Samples in the gate's windows so far; later ones are not looked at.
    fn visible_end(&self, last: bool) -> u64 {
        if last { self.received } else { self.gate.end() }
    }

    /// Takes windows and decides what can be decided.
    fn work(&mut self, last: bool, out: &mut Vec<SoftBlock>) {
        let (hop, length) = (self.gate.hop() as u64, self.gate.length() as u64);
        while self.gate.count() * hop + length <= self.received {
            let raw = self.spurs.raw(self.gate.count());
            self.gate.take(&raw[..(length as usize).min(raw.len())]);
            self.clean();
            while self.gate.ready(self.decided, false) {
                self.decide(false, out);
            }
            self.forget();
        }
        if last {
            if self.gate.count() > 0 && !self.gate.is_warm() {
                self.gate.ready(self.decided, true);
                self.spurs.update(self.gate.lines(), self.gate.count() + 1);
            }
            self.spurs.finish(&mut self.samples);
            while self.gate.ready(self.decided, true) {
                self.decide(true, out);
            }
        }
    }

    /// Frees the hops of the gate's windows from spurs, once it is known where they are.
    fn clean(&mut self) {
        let end = self.gate.count() + 1;
        if self.gate.is_updated() {
            self.spurs.update(self.gate.lines(), end);
        }
        if self.gate.is_warm() {
            self.spurs.clean(end, &mut self.samples);
        }
    }

    /// Decides the next window.
    fn decide(&mut self, last: bool, out: &mut Vec<SoftBlock>) {
        let w = self.decided;
        self.decided += 1;
        let hop = self.gate.hop() as f64;
        let symbols = hop / self.samples_per_symbol;
        self.credit = (self.credit + symbols / CREDIT_SYMBOLS).min(MOST_CREDIT);
        let statistics = [Floor::PerBin, Floor::Flat].map(|floor| self.gate.statistic(w, floor));
        for d in 0..2 {
            self.detect(d, w, statistics, last, out);
        }
    }

    fn detect(
        &mut self,
        d: usize,
        w: u64,
        statistics: [f32; 2],
        last: bool,
        out: &mut Vec<SoftBlock>,
    ) {
        let (open_at, close_at) = (self.open_at, self.close_at);
        let statistic = statistics[d];
        let hop = self.gate.hop() as f64;
        let memory = self.gate.memory() as usize;
        let detector = &mut self.detectors[d];
        if detector.recent.len() >= 2 * memory {
            detector.recent.drain(..memory);
        }
        detector.recent.push(statistic);
        let Some(open) = &mut detector.open else {
            if statistic >= open_at {
                // Back to where it rose above the closing threshold.
                let back = detector
                    .recent
                    .iter()
                    .rev()
                    .take(memory / 2)
                    .take_while(|s| **s > close_at)
                    .count()
                    .saturating_sub(1);
                let first_window = w - back as u64;
                let mut open = Open {
                    first_window,
                    last_window: w,
                    from: (first_window as f64 * hop).max(detector.done),
                    spectrum: Vec::new(),
                    flat: Vec::new(),
                    windows: 0,
                    sustained: false,
                    patience_symbols: LONG_SYMBOLS,
                    tracked: None,
                };
                for v in first_window..=w {
                    self.gate.accumulate(v, detector.floor, &mut open.spectrum);
                    if d == 0 {
                        self.gate.accumulate(v, Floor::Flat, &mut open.flat);
                    }
                    open.windows += 1;
                }
                detector.open = Some(open);
            }
            return;
        };
        // A signal that is being tracked may outlive the floor per bin, which adapts to it.
        let alive = if open.tracked.is_some() || open.sustained {
            statistics[0].max(statistics[1]) > close_at
        } else {
            statistic > close_at
        };
        if alive {
            open.last_window = w;
        }
        if open.tracked.is_none() && open.windows < AVERAGED_WINDOWS {
            self.gate.accumulate(w, detector.floor, &mut open.spectrum);
            if d == 0 {
                self.gate.accumulate(w, Floor::Flat, &mut open.flat);
            }
            open.windows += 1;
        }
        let closed = w - open.last_window >= HANGOVER;
        if open.tracked.is_some() {
            self.track(d, w, closed, last, out);
        } else if closed {
            self.examine(d, false, last, out);
        } else if w as f64 * hop - open.from > open.patience_symbols * self.samples_per_symbol {
            self.examine(d, true, last, out);
        }
    }

    /// Whether most of a stretch has been dealt with by the other gate, or is being so.
    fn is_covered(&self, from: f64, to: f64) -> bool {
        let tracked = self.detectors[0].open.iter().filter(|o| o.tracked.is_some());
        let other = tracked.map(|o| (o.from, f64::INFINITY));
        let shared: f64 = self
            .covered
            .iter()
            .copied()
            .chain(other)
            .map(|(a, b)| (b.min(to) - a.max(from)).max(0.0))
            .sum();
        shared > 0.6 * (to - from)
    }

    /// Demodulates the stretch that detector `d` has open. `unfinished`: it goes on.
    fn examine(&mut self, d: usize, unfinished: bool, last: bool, out: &mut Vec<SoftBlock>) {
        let close_at = self.close_at;
        let flat_is_open = self.detectors[1].recent.last().is_some_and(|s| *s > close_at);
        let hop = self.gate.hop() as f64;
        let Some(mut open) = self.detectors[d].open.take() else { return };
        let to = open.last_window as f64 * hop + self.gate.length() as f64;
        let from = open.from;
        let sps = self.samples_per_symbol;
        let estimates = self.gate.estimates(&open.spectrum, open.windows);
        if unfinished && estimates.len() > 1 && open.patience_symbols < CROWDED_SYMBOLS {
            open.patience_symbols = CROWDED_SYMBOLS;
            self.detectors[d].open = Some(open);
            return;
        }
        if d == 1 && self.is_covered(from, to) {
            if unfinished {
                open.from = to;
                open.spectrum.clear();
                open.flat.clear();
                open.windows = 0;
                self.detectors[d].open = Some(open);
            }
            return;
        }
        // A floor per bin that has risen in the presence of a signal distorts its spectrum.
        let other = self.gate.estimates(&open.flat, open.windows).first().map(|e| e.frequency);
        let mut rest = None;
        // A burst that fills its stretch to the brim may have been cut by a floor that has risen in
        // its presence: then the other gate is to look at it, too.
        let mut whole = true;
        for (number, estimate) in estimates.into_iter().enumerate() {
            let band = if estimate.crowded { Band::Narrow } else { Band::Search };
            self.interpolator.set_band(band);
            let carrier = Carrier { at: from, phase: 0.0, frequency: estimate.frequency };
            let end = self.visible_end(last);
            // Energies from a margin before to a margin after.
            let margin = MARGIN_SYMBOLS * sps;
            let a = (from - margin).max(self.detectors[d].done - 0.5 * margin).max(0.0);
            let b = if unfinished { to } else { (to + margin).min(end as f64) };
            let symbols = ((b - a) / sps).max(0.0) as usize;
            let view = Stretch {
                first: self.first as i64,
                samples: &self.samples[..(end - self.first) as usize],
            };
            self.interpolator.grid(view, carrier, a, sps / 2.0, 2 * symbols, &mut self.grid);
            energies(&self.grid, &mut self.energy);
            let floor = self.gate.noise(carrier.frequency) * self.interpolator.noise_gain();
            let levels = levels(&self.energy, floor);
            let mut bursts: Vec<(f64, f64)> = match levels {
                Some(levels) => segments(&self.energy, levels)
                    .into_iter()
                    .map(|(x, y)| (a + x as f64 * sps, a + y as f64 * sps))
                    .collect(),
                None => Vec::new(),
            };
            // A weaker signal beside the strongest has bursts of its own, or there is none.
            if number > 0 {
                for i in 0..bursts.len() {
                    let before = if i > 0 { bursts[i - 1].1 } else { f64::NEG_INFINITY };
                    let after = bursts.get(i + 1).map_or(f64::INFINITY, |burst| burst.0);
                    let spread = if estimate.h >= 0.8 { Spread::Lines } else { Spread::Narrow };
                    let around = (before, after);
                    self.demodulate(
                        bursts[i],
                        around,
                        (carrier, None),
                        spread,
                        None,
                        false,
                        end,
                        out,
                    );
                }
                continue;
            }
            let brim = 8.0 * sps;
            whole = bursts.first().is_some_and(|burst| burst.0 > a + brim)
                && bursts.last().is_some_and(|burst| burst.1 < b - brim);
            // A floor per bin that has risen in the presence of a signal closes on it; from then on
            // the flat one counts, too.
            let continues = bursts.last().is_some_and(|burst| burst.1 >= b - brim);
            if d == 0 && !last && !unfinished && !open.sustained && continues && flat_is_open {
                open.sustained = true;
                self.detectors[d].open = Some(open);
                return;
            }
            if bursts.is_empty() && is_impulse(&self.energy) {
                continue;
            }
            if bursts.is_empty() {
                bursts.push((from.max(a), to.min(b)));
            }
            let two_lines = estimate.h >= 0.8;
            // Bursts of one stretch may differ in their carriers.
            let count = bursts.len();
            let spread = if count > 1 { Spread::Wide } else { Spread::Narrow };
            let spread = if two_lines { Spread::Lines } else { spread };
            for i in 0..count {
                let burst = bursts[i];
                let goes_on = unfinished && i + 1 == count && burst.1 > b - 2.0 * margin;
                let before = if i > 0 { bursts[i - 1].1 } else { f64::NEG_INFINITY };
                let after = if i + 1 < count { bursts[i + 1].0 } else { f64::INFINITY };
                let tracked = self.demodulate(
                    burst,
                    (before, after),
                    (carrier, other),
                    spread,
                    levels,
                    goes_on,
                    end,
                    out,
                );
                if goes_on {
                    rest = tracked;
                }
            }
        }
        self.detectors[d].done = to;
        if d == 0 && (whole || rest.is_some()) {
            self.covered.push((from, to));
        }
        if unfinished {
            open.from = to;
            open.spectrum.clear();
            open.flat.clear();
            open.windows = 0;
            open.patience_symbols = LONG_SYMBOLS;
            open.tracked = rest.map(Box::new);
            self.detectors[d].open = Some(open);
        }
    }

    /// Acquires one burst and demodulates it as far as it is known. If it goes on, it is returned
    /// to be tracked.
    #[allow(clippy::too_many_arguments)]
    fn demodulate(
        &mut self,
        burst: (f64, f64),
        (before, after): (f64, f64),
        (mut carrier, other): (Carrier, Option<f64>),
        spread: Spread,
        levels: Option<Levels>,
        goes_on: bool,
        end: u64,
        out: &mut Vec<SoftBlock>,
    ) -> Option<Tracked> {
        let sps = self.samples_per_symbol;
        let symbols = (burst.1 - burst.0) / sps;
        if symbols < LEAST_SYMBOLS as f64 {
            return None;
        }
        let near = symbols.min(ACQUIRED_WITHIN);
        let middle = burst.0 + near / 2.0 * sps;
        let view = Stretch {
            first: self.first as i64,
            samples: &self.samples[..(end - self.first) as usize],
        };
        let mut acquire = |carrier, spread| {
            self.acquisition.acquire(
                &mut self.interpolator,
                view,
                carrier,
                sps,
                (middle, near as usize),
                spread,
            )
        };
        let mut found = acquire(carrier, spread)?;
        // A signal with S/(S+N) of the samples' power explains that much of it, or the gate was
        // wrong about its carrier.
        let share = levels.map_or(0.6, |l| 1.0 - 1.0 / f64::from(l.ratio));
        let wanted = if share > STRONG_SHARE { 0.945 } else { 0.9 } * share.sqrt();
        let mut credit = self.credit;
        if found.quality < wanted
            && credit >= 1.0
            && let Some(other) = other.map(|f| carrier.moved(carrier.at, f))
            && ((other.frequency - carrier.frequency) * sps).abs() > OTHER_BAUD
            && let Some(again) = acquire(other, spread)
            && again.quality > found.quality
        {
            (found, carrier) = (again, other);
        }
        if found.quality < wanted && other.is_some() {
            credit -= 1.0;
        }
        for spread in [Spread::Anywhere, Spread::Clock] {
            if levels.is_none() && spread == Spread::Clock {
                continue;
            }
            let price = if spread == Spread::Clock { CLOCK_ATTEMPTS } else { 1.0 };
            if found.quality >= wanted || credit < price {
                continue;
            }
            if let Some(again) = acquire(carrier, spread)
                && again.quality > found.quality
            {
                found = again;
            }
            if found.quality < wanted {
                credit -= price;
            }
        }
        // What has led to something costs nothing.
        self.credit = if found.quality < wanted { credit } else { self.credit };
        if found.quality < LEAST_QUALITY {
            return None;
        }
        let lead = LEAD_SYMBOLS * sps;
        let begin = (burst.0 - lead).max(before + 4.0 * sps);
        let shape = self.acquisition.shape(found.pulse);
        // The middle of a symbol lies two symbols after the start of its branch.
        let mut tracker = Tracker::new(&found, shape, carrier, sps, begin - 2.0 * sps);
        let spare = SPARE_SYMBOLS * sps;
        let first_wanted = (burst.0 - spare).max(before).max(0.0);
        let skipped = ((first_wanted - tracker.position()) / sps - 2.0).ceil().max(0.0) as usize;
        let mut run = Run::begin(&mut self.next_run, skipped);
        if goes_on {
            return Some(Tracked {
                tracker,
                run,
                levels,
                certain_from: burst.0 + 16.0 * sps,
                doubt: 0.0,
                doubt_from: burst.0,
                band: self.interpolator.band(),
            });
        }
        let stop = (burst.1 + lead).min(after + 8.0 * sps);
        while tracker.position() < stop {
            tracker.advance(&mut self.interpolator, view);
        }
        let last_wanted = (burst.1 + spare).min(after).min(end as f64);
        let mut pieces = std::mem::take(&mut self.pieces);
        tracker.finish(&mut pieces);
        let mut again = false;
        if wrong_symbols(&pieces, burst) > LEAST_DOUBT {
            let band = self.interpolator.band();
            if band == Band::Search {
                self.interpolator.set_band(Band::Fitted);
            }
            again = self.passes.fit(&mut self.interpolator, view, &tracker, shape, burst);
            self.interpolator.set_band(band);
        }
        let one_pass = self.search.effort == Effort::OnePass;
        if again && one_pass {
            // Every symbol is decided once, on the better fit.
            pieces.clear();
            self.passes.give(Order::Outwards, &mut pieces);
        }
        run.give(&mut pieces, last_wanted, self.search.sample_rate_hz, out);
        run.end(last_wanted, self.samples_per_symbol, out);
        if again && !one_pass {
            for order in [Order::Outwards, Order::Inwards] {
                let mut run = Run::begin(&mut self.next_run, skipped);
                self.passes.give(order, &mut pieces);
                run.give(&mut pieces, last_wanted, self.search.sample_rate_hz, out);
                run.end(last_wanted, self.samples_per_symbol, out);
            }
        }
        self.pieces = pieces;
        None
    }

    /// Goes on with a tracked signal up to the window just decided.
    fn track(&mut self, d: usize, w: u64, closed: bool, last: bool, out: &mut Vec<SoftBlock>) {
        let Some(mut open) = self.detectors[d].open.take() else { return };
        let Some(mut tracked) = open.tracked.take() else { return };
        self.interpolator.set_band(tracked.band);
        let hop = self.gate.hop() as f64;
        let sps = self.samples_per_symbol;
        let end = self.visible_end(last);
        let edge = if closed {
            open.last_window as f64 * hop + self.gate.length() as f64
        } else {
            (w + 1) as f64 * hop
        };
        let view = Stretch {
            first: self.first as i64,
            samples: &self.samples[..(end - self.first) as usize],
        };
        let reach = self.interpolator.reach();
        let mut ended = closed.then_some(edge);
        while tracked.tracker.next_position() + reach <= edge {
            let from = tracked.tracker.position();
            if let Some(levels) = tracked.levels {
                let carrier =
                    Carrier { at: from, phase: 0.0, frequency: tracked.tracker.frequency() };
                let points = 2 * BLOCK;
                self.interpolator.grid(view, carrier, from, sps / 2.0, points, &mut self.grid);
                energies(&self.grid, &mut self.energy);
                let lead = ((tracked.certain_from - from) / sps).max(0.0) as usize;
                for (k, e) in self.energy.iter().enumerate().skip(lead) {
                    tracked.doubt -= levels.evidence(*e);
                    if tracked.doubt <= 0.0 {
                        tracked.doubt = 0.0;
                        tracked.doubt_from = from + k as f64 * sps;
                    }
                    // The next burst may begin in the same block.
                    if tracked.doubt > MOST_DOUBT {
                        break;
                    }
                }
            }
            tracked.tracker.advance(&mut self.interpolator, view);
            if tracked.doubt > MOST_DOUBT {
                ended = Some(tracked.doubt_from);
                break;
            }
            if tracked.tracker.lock() < LEAST_LOCK {
                ended = Some(tracked.tracker.position());
                break;
            }
        }
        let Some(stop) = ended else {
            let mut pieces = std::mem::take(&mut self.pieces);
            tracked.tracker.drain(self.group_blocks, &mut pieces);
            tracked.run.give(&mut pieces, f64::INFINITY, self.search.sample_rate_hz, out);
            self.pieces = pieces;
            // The other gate need not look at what has been tracked.
            let position = tracked.tracker.position();
            if d == 0
                && let Some(other) = &mut self.detectors[1].open
                && other.tracked.is_none()
            {
                other.from = other.from.max(position);
            }
            open.tracked = Some(tracked);
            self.detectors[d].open = Some(open);
            return;
        };
        while tracked.tracker.position() < stop + LEAD_SYMBOLS * sps {
            tracked.tracker.advance(&mut self.interpolator, view);
        }
        let last_wanted = (stop + SPARE_SYMBOLS * sps).min(end as f64);
        let mut pieces = std::mem::take(&mut self.pieces);
        tracked.tracker.finish(&mut pieces);
        tracked.run.give(&mut pieces, last_wanted, self.search.sample_rate_hz, out);
        self.pieces = pieces;
        tracked.run.end(last_wanted, self.samples_per_symbol, out);
        self.detectors[d].done = stop;
        if d == 0 {
            self.covered.push((open.first_window as f64 * hop, stop));
        }
        if !closed {
            // The gate is still open: look again from here on.
            open.from = stop;
            open.first_window = (stop / hop) as u64;
            open.spectrum.clear();
            open.flat.clear();
            open.windows = 0;
            self.detectors[d].open = Some(open);
        }
    }

    /// First sample that may be needed again.
    fn needed(&self) -> f64 {
        let hop = self.gate.hop() as f64;
        let margin = (MARGIN_SYMBOLS + 40.0) * self.samples_per_symbol + self.interpolator.reach();
        let mut needed = self.decided.saturating_sub(self.gate.memory() / 2) as f64 * hop;
        for detector in &self.detectors {
            if let Some(open) = &detector.open {
                needed = needed.min(match &open.tracked {
                    Some(tracked) => tracked.tracker.position(),
                    None => open.from,
                });
            }
        }
        needed - margin
    }

    /// Drops samples that are not needed any more.
    fn forget(&mut self) {
        let keep = self.needed().max(0.0) as u64;
        let excess = keep.saturating_sub(self.first) as usize;
        if excess > 16384 && excess > self.samples.len() / 2 {
            self.samples.drain(..excess);
            self.first += excess as u64;
            let oldest = self.first as f64;
            self.covered.retain(|(_, to)| *to > oldest);
        }
    }
}

impl Demodulator for BurstReceiver {
    fn push(&mut self, samples: &[Complex32], out: &mut Vec<SoftBlock>) {
        // In pieces, so that the buffer stays small whatever comes in one call.
        for piece in samples.chunks(1 << 15) {
            let clean = |x: f32| {
                if x.is_finite() { x.clamp(-LARGEST_INPUT, LARGEST_INPUT) } else { 0.0 }
            };
            self.spurs.push(piece.iter().map(|x| Complex32::new(clean(x.re), clean(x.im))));
            self.received += piece.len() as u64;
            self.work(false, out);
        }
    }

    fn finish(&mut self, out: &mut Vec<SoftBlock>) {
        self.work(true, out);
        let w = self.decided;
        for d in 0..2 {
            match &self.detectors[d].open {
                Some(open) if open.tracked.is_some() => {
                    self.track(d, w.saturating_sub(1), true, true, out);
                }
                Some(_) => self.examine(d, false, true, out),
                None => {}
            }
        }
        self.samples.clear();
        self.covered.clear();
        self.first = 0;
        self.received = 0;
        self.decided = 0;
        self.gate.reset();
        self.spurs.reset();
        self.credit = MOST_CREDIT;
        for detector in &mut self.detectors {
            detector.recent.clear();
            detector.open = None;
            detector.done = 0.0;
        }
    }

    fn settled_sample(&self) -> f64 {
        let hop = self.gate.hop() as f64;
        let symbol = self.samples_per_symbol;
        let memory = self.gate.memory() as usize;
        let begins = self.detectors.iter().map(|detector| {
            let from = match &detector.open {
                Some(Open { tracked: Some(tracked), .. }) => return tracked.tracker.position(),
                Some(open) => open.from,
                // The next stretch begins where the statistic rose above the closing threshold.
                None => {
                    let recent = detector.recent.iter().rev().take(memory / 2);
                    let back = recent.take_while(|s| **s > self.close_at).count() as u64;
                    self.decided.saturating_sub(back) as f64 * hop
                }
            };
            let margin = MARGIN_SYMBOLS * symbol;
            (from - margin).max(detector.done - 0.5 * margin)
        });
        (begins.fold(f64::INFINITY, f64::min) - (LEAD_SYMBOLS + SPARE_SYMBOLS) * symbol).max(0.0)
    }
}
