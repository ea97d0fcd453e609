//! Band-limited resampling of a real signal to a fixed number of samples per nominal symbol.

/// Output samples per nominal symbol.
pub(super) const OVERSAMPLING: usize = 4;

/// Half the length of the low-pass, in symbols.
const HALF_LENGTH_SYMBOLS: f64 = 2.6;
/// Cut-off (-6 dB) of the low-pass against the symbol rate. The pass band reaches to 0.8 and the
/// stop band begins at 1.4, below the first alias onto the pass band at 4 samples per symbol.
const CUT_OFF: f64 = 1.1;
/// Kaiser window's shape.
const BETA: f64 = 5.5;

/// Real samples at any rate above 2 per symbol → [`OVERSAMPLING`] samples per nominal symbol,
/// low-passed. Output sample n lies at input position `n * step`; the filter has no delay.
#[derive(Debug, Clone)]
pub(super) struct Interpolator {
    /// Input samples per output sample.
    step: f64,
    /// Taps on each side of the position.
    half: usize,
    phases: usize,
    /// `taps[phase * 2 * half ..]`: the filter for a position `phase / phases` after a sample.
    taps: Vec<f32>,
    /// Input samples from position `first` on.
    held: Vec<f32>,
    /// Position of `held[0]`; begins at `-half`, with zeros before the first sample.
    first: i64,
    /// Next output sample.
    next: u64,
}

impl Interpolator {
    /// For an input of `samples_per_symbol` (nominal).
    pub(super) fn new(samples_per_symbol: f64) -> Self {
        let half = (HALF_LENGTH_SYMBOLS * samples_per_symbol).ceil().max(2.0) as usize;
        let phases = (512.0 / samples_per_symbol).ceil().clamp(8.0, 256.0) as usize;
        let mut taps = Vec::with_capacity((phases + 1) * 2 * half);
        for phase in 0..=phases {
            let fraction = phase as f64 / phases as f64;
            let row: Vec<f64> = (0..2 * half)
                .map(|i| {
                    let t = i as f64 + 1.0 - half as f64 - fraction;
                    let x = 2.0 * CUT_OFF * t / samples_per_symbol;
                    sinc(x) * kaiser(t / half as f64)
                })
                .collect();
            let sum: f64 = row.iter().sum();
            taps.extend(row.iter().map(|tap| (tap / sum) as f32));
        }
        let mut new = Self {
            step: samples_per_symbol / OVERSAMPLING as f64,
            half,
            phases,
            taps,
            held: Vec::new(),
            first: 0,
            next: 0,
        };
        new.restart();
        new
    }

    /// Forgets everything but the design.
    pub(super) fn restart(&mut self) {
        self.held.clear();
        self.held.resize(self.half, 0.0);
        self.first = -(self.half as i64);
        self.next = 0;
    }

    /// Input samples per output sample.
    pub(super) fn step(&self) -> f64 {
        self.step
    }

    /// Samples of look-ahead that the filter needs.
    pub(super) fn half(&self) -> usize {
        self.half
    }

    /// Takes input and appends every output sample that it settles. Not finite: taken as 0.
    pub(super) fn push(&mut self, input: impl Iterator<Item = f32>, out: &mut Vec<f32>) {
        self.held.extend(input.map(|x| if x.is_finite() { x.clamp(-1e6, 1e6) } else { 0.0 }));
        let width = 2 * self.half;
        loop {
            let position = self.next as f64 * self.step;
            let whole = position.floor();
            let phase = ((position - whole) * self.phases as f64).round() as usize;
            let start = whole as i64 + 1 - self.half as i64 - self.first;
            debug_assert!(start >= 0);
            let start = start.max(0) as usize;
            let Some(samples) = self.held.get(start..start + width) else { break };
            out.push(dot(samples, &self.taps[phase * width..(phase + 1) * width]));
            self.next += 1;
        }
        // Keeps what the next output needs; moving is amortised over the length held.
        let position = (self.next as f64 * self.step).floor() as i64 + 1 - self.half as i64;
        let spent = (position - self.first).max(0) as usize;
        if spent > 4096.max(2 * width) || spent > self.held.len() / 2 {
            let spent = spent.min(self.held.len());
            self.held.drain(..spent);
            self.first += spent as i64;
        }
    }
}

/// Sum of products in eight partial sums, which the compiler turns into vectors.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (a8, a_rest) = a.as_chunks::<8>();
    let (b8, b_rest) = b.as_chunks::<8>();
    for (x, y) in a8.iter().zip(b8) {
        for i in 0..8 {
            sums[i] += x[i] * y[i];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    rest + ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]))
}

/// sin(πx)/(πx).
fn sinc(x: f64) -> f64 {
    let y = std::f64::consts::PI * x;
    if y.abs() < 1e-9 { 1.0 } else { y.sin() / y }
}

/// Kaiser window at -1 ≤ x ≤ 1, 0 outside.
fn kaiser(x: f64) -> f64 {
    if x.abs() > 1.0 { 0.0 } else { bessel_i0(BETA * (1.0 - x * x).sqrt()) / bessel_i0(BETA) }
}

/// Modified Bessel function of the first kind and order 0, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let (mut term, mut sum) = (1.0, 1.0);
    for k in 1..40 {
        term *= (x / (2.0 * f64::from(k))).powi(2);
        sum += term;
    }
    sum
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn passes_half_the_symbol_rate_and_stops_twice_it() {
        for samples_per_symbol in [2.5, 5.0, 8.3, 40.0] {
            let amplitude = |frequency: f64| {
                let mut interpolator = Interpolator::new(samples_per_symbol);
                let mut out = Vec::new();
                let input = (0..(200.0 * samples_per_symbol) as usize).map(|n| {
                    let x = std::f64::consts::TAU * frequency * n as f64 / samples_per_symbol;
                    x.cos() as f32
                });
                interpolator.push(input, &mut out);
                out[100..700].iter().fold(0.0f32, |a, x| a.max(x.abs()))
            };
            assert!((amplitude(0.5) - 1.0).abs() < 0.02, "{samples_per_symbol}");
            if samples_per_symbol > 4.0 {
                assert!(amplitude(1.7) < 0.01, "{samples_per_symbol}: {}", amplitude(1.7));
            }
        }
    }

    #[test]
    fn any_chunking_gives_the_same_output() {
        let input: Vec<f32> = (0..3000).map(|n| ((n * n) % 17) as f32 - 8.0).collect();
        let mut whole = Vec::new();
        Interpolator::new(6.3).push(input.iter().copied(), &mut whole);
        for size in [1, 7, 100] {
            let (mut pieces, mut interpolator) = (Vec::new(), Interpolator::new(6.3));
            for piece in input.chunks(size) {
                interpolator.push(piece.iter().copied(), &mut pieces);
            }
            assert_eq!(whole, pieces);
        }
    }
}
