//! Frame loss over Es/N0, measured where it tells most.
//!
//! The model is local: near a crossing, `ln(-ln(1 - loss)) = a + b (x - x₀)`, which is what a frame
//! of many symbols that err on their own has. It is fitted by maximum likelihood to the points
//! around, weighted by a Gaussian bell; theory's own slope, and a wide guess of the place, take part
//! as a prior, so that a few frames give no nonsense. The next recording is made where the
//! crossing that is known worst lies.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tulpar::Complex32;
use tulpar::effort::Effort;
use tulpar::simulation::{Channel, SentFrame};

use crate::rows::{LEVELS, Row};
use crate::scenario::{Scenario, compare, receive, samples};

/// The efforts measured.
pub const EFFORTS: [Effort; 3] = [Effort::OnePass, Effort::Full, Effort::Doubtful];

/// What lies between transmitter and receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Unknown phase and timing, carrier within ±100 Hz, exact clock.
    Ideal,
    /// Carrier within ±3 kHz, drifting up to ±100 Hz/s, clock off by up to ±100 ppm, 32 symbols of
    /// preamble, bursts at random times.
    Hard,
}

impl Condition {
    pub const ALL: [Condition; 2] = [Condition::Ideal, Condition::Hard];

    pub fn name(self) -> &'static str {
        match self {
            Condition::Ideal => "ideal",
            Condition::Hard => "hard",
        }
    }

    /// A channel, drawn.
    pub fn channel(self, esn0_db: f64, rng: &mut ChaCha8Rng) -> Channel {
        let mut channel = Channel {
            esn0_db,
            frequency_offset_hz: rng.random_range(-100.0..100.0),
            phase_rad: rng.random_range(0.0..std::f64::consts::TAU),
            timing_samples: rng.random_range(0.0..1.0),
            seed: rng.random(),
            ..Channel::default()
        };
        if self == Condition::Hard {
            channel.frequency_offset_hz = rng.random_range(-3000.0..3000.0);
            channel.frequency_rate_hz_per_s = rng.random_range(-100.0..100.0);
            channel.clock_ppm = rng.random_range(-100.0..100.0);
        }
        channel
    }

    /// The signal as it is sent under this condition.
    pub fn scenario(self, scenario: &Scenario) -> Scenario {
        match self {
            Condition::Ideal => scenario.clone(),
            Condition::Hard => {
                Scenario { preamble_symbols: 32, gap_spread_s: scenario.gap_s, ..scenario.clone() }
            }
        }
    }
}

/// A recording and what was sent in it.
pub fn record(
    scenario: &Scenario,
    condition: Condition,
    esn0_db: f64,
    frames: usize,
    rng: &mut ChaCha8Rng,
) -> (Vec<Complex32>, Vec<SentFrame>) {
    let channel = condition.channel(esn0_db, rng);
    let mut simulator = condition.scenario(scenario).simulator(frames, channel);
    let samples = samples(&mut simulator);
    (samples, simulator.sent().to_vec())
}

/// Frames at one Es/N0, received with every effort.
#[derive(Debug, Clone, Default)]
pub struct Point {
    pub esn0_db: f64,
    pub sent: usize,
    pub received: [usize; 3],
    pub wrong: [usize; 3],
}

impl Point {
    pub fn loss(&self, effort: usize) -> f64 {
        1.0 - self.received[effort] as f64 / self.sent.max(1) as f64
    }
}

/// Where a share of the frames is lost, and the standard error of that.
#[derive(Debug, Clone, Copy)]
pub struct Crossing {
    pub esn0_db: f64,
    pub error_db: f64,
}

/// `ln(-ln(1 - loss))`.
pub fn link(loss: f64) -> f64 {
    (-(1.0 - loss).ln()).ln()
}

/// A measured curve.
pub struct Curve {
    pub condition: Condition,
    pub points: Vec<Point>,
    /// Theory's slope of the link function, per dB, and a guess of the place of its zero per
    /// effort.
    slope: f64,
    guess_db: [f64; 3],
}

impl Curve {
    pub fn new(row: &Row, condition: Condition) -> Self {
        let [half, _, hundredth] = row.limit_db;
        let slope = (link(0.01) - link(0.5)) / (hundredth - half);
        let full = row.limit_db[0] - row.expected_gain_db;
        // The link is -0.37 at half of the frames.
        let zero = |at: f64| at - link(0.5) / slope;
        Self {
            condition,
            points: Vec::new(),
            slope,
            guess_db: [zero(half + 0.1), zero(full), zero(full)],
        }
    }

    /// Where the loss crosses a level with an effort (index into [`EFFORTS`]).
    pub fn crossing(&self, effort: usize, level: f64) -> Crossing {
        let wanted = link(level);
        let mut x0 = self.guess_db[effort] + wanted / self.slope;
        let mut out = Crossing { esn0_db: x0, error_db: 1.5 };
        // Bell of the weights: 1.5 units of the link.
        let width = 1.5 / self.slope.abs();
        let (mut a, mut b) = (wanted, self.slope);
        for _ in 0..12 {
            // Prior: the curve passes the guess within 1.5 dB; the slope is theory's within 30 %.
            let (mean_a, var_a) =
                (self.slope * (x0 - self.guess_db[effort]), (1.5 * self.slope).powi(2));
            let var_b = (0.3 * self.slope).powi(2);
            let mut h = [0.0; 3];
            for _ in 0..25 {
                let (mut ga, mut gb) = ((mean_a - a) / var_a, (self.slope - b) / var_b);
                h = [1.0 / var_a, 0.0, 1.0 / var_b];
                for p in &self.points {
                    let x = p.esn0_db - x0;
                    let weight = (-0.5 * (x / width).powi(2)).exp();
                    if weight < 1e-4 {
                        continue;
                    }
                    let rate = (a + b * x).clamp(-12.0, 3.0).exp();
                    let (kept, n) = ((-rate).exp(), p.sent as f64);
                    let lost = (1.0 - kept).max(1e-12);
                    // d ln L / dη and Fisher's information of a binomial count.
                    let observed = (p.sent - p.received[effort].min(p.sent)) as f64;
                    let g = weight * (observed - n * lost) * rate / lost;
                    let i = weight * n * rate * rate * kept / lost;
                    ga += g;
                    gb += g * x;
                    h[0] += i;
                    h[1] += i * x;
                    h[2] += i * x * x;
                }
                let det = (h[0] * h[2] - h[1] * h[1]).max(1e-12);
                let da = (h[2] * ga - h[1] * gb) / det;
                let db = (h[0] * gb - h[1] * ga) / det;
                a += da.clamp(-2.0, 2.0);
                b = (b + db.clamp(-2.0, 2.0)).min(0.25 * self.slope);
                if da.abs() + db.abs() < 1e-6 {
                    break;
                }
            }
            let step = ((wanted - a) / b).clamp(-1.0, 1.0);
            let det = (h[0] * h[2] - h[1] * h[1]).max(1e-12);
            // Variance of a + b·step, over the slope.
            let variance = (h[2] - 2.0 * h[1] * step + h[0] * step * step) / det;
            out = Crossing { esn0_db: x0 + step, error_db: variance.max(0.0).sqrt() / b.abs() };
            a += b * step;
            x0 += step;
            if step.abs() < 1e-3 {
                break;
            }
        }
        out
    }

    /// Makes a recording, receives it with the efforts, and counts.
    pub fn measure(&mut self, row: &Row, esn0_db: f64, frames: usize, rng: &mut ChaCha8Rng) {
        let esn0_db = (esn0_db * 20.0).round() / 20.0;
        let frames = frames.next_multiple_of(row.scenario.frames_per_burst);
        let (samples, sent) = record(&row.scenario, self.condition, esn0_db, frames, rng);
        let index = match self.points.iter().position(|p| (p.esn0_db - esn0_db).abs() < 0.01) {
            Some(index) => index,
            None => {
                self.points.push(Point { esn0_db, ..Point::default() });
                self.points.len() - 1
            }
        };
        let point = &mut self.points[index];
        point.sent += sent.len();
        for (e, effort) in EFFORTS.into_iter().enumerate() {
            let received = receive(&mut row.scenario.receiver(effort), &samples);
            let (right, wrong) = compare(&sent, &received);
            point.received[e] += right;
            point.wrong[e] += wrong;
        }
    }

    pub fn wrong(&self, effort: usize) -> usize {
        self.points.iter().map(|p| p.wrong[effort]).sum()
    }

    pub fn sent(&self) -> usize {
        self.points.iter().map(|p| p.sent).sum()
    }
}

/// How exactly to measure.
#[derive(Debug, Clone, Copy)]
pub struct Demand {
    /// Wanted standard error at each of [`LEVELS`]; infinite: whatever comes out.
    pub error_db: [f64; 3],
    /// Frames a curve at least, and at most.
    pub least_frames: usize,
    pub frames: usize,
}

/// Measures a curve until the demand is met or the frames are used up.
pub fn measure(row: &Row, condition: Condition, demand: &Demand, seed: u64) -> Curve {
    let mut curve = Curve::new(row, condition);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let batch = if row.scenario.frames_per_burst > 1 { row.scenario.frames_per_burst } else { 10 };
    while curve.sent() < demand.frames {
        let worst = (0..2)
            .flat_map(|effort| (0..LEVELS.len()).map(move |level| (effort, level)))
            .map(|(effort, level)| {
                let crossing = curve.crossing(effort, LEVELS[level]);
                (crossing.error_db / demand.error_db[level], crossing.esn0_db)
            })
            .max_by(|a, b| a.0.total_cmp(&b.0));
        match worst {
            Some((excess, esn0_db)) if excess > 1.0 || curve.sent() < demand.least_frames => {
                curve.measure(row, esn0_db, batch, &mut rng);
            }
            _ => break,
        }
    }
    curve.points.sort_by(|a, b| a.esn0_db.total_cmp(&b.esn0_db));
    curve
}

/// Does tasks 0 to `count` on all cores; results in order.
pub fn parallel<T: Send>(count: usize, task: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, T)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        break;
                    }
                    let result = task(index);
                    results.lock().unwrap().push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap();
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}
