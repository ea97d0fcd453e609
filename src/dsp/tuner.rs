//! Brings a slice of the input's band to 0 Hz at a sample rate that a demodulator likes.
//!
//! ```text
//! input ─► oscillator ─► decimators ─► sideband filter ─► resampler ─► oscillator ─► channel
//!          offset,        D1, D2 …      real inputs        L/M          real inputs
//!          Doppler
//! ```
//!
//! Only the parts that are needed are there. Output sample `n` stands for the input instant
//! `n·ratio` exactly: every filter is centred on the instant of its output.
//!
//! The decimators' factors are chosen for the least work: the first of them only have to keep
//! aliases out of the channel itself, so that their filters are short, and the last one makes the
//! edge of the channel (Crochiere & Rabiner, "Multirate Digital Signal Processing", 5.2).
//!
//! A real input has every signal twice, at `f` and at `-f`. Where a shift of it is asked for, the
//! image is removed and the amplitude doubled, so that `cos` gives the same as `exp`. The pass-band
//! then is what lies on the signal's side of 0 Hz of the input, and need not be centred on the
//! carrier: it is filtered around its own middle, and shifted the rest of the way at the low rate.

use num_complex::Complex32;

use super::decimate::{Decimator, TAP_LANES};
use super::filter::{MAX_TAPS, lowpass, lowpass_length};
use super::oscillator::Oscillator;
use super::planar::Planar;
use super::resample::{ATTENUATION_DB, MAX_INTERPOLATION, Resampler, WIDEST_PASS, clean_ratio};
use crate::modulation::Channel;

/// Input samples that go through all stages before the next ones follow.
const BLOCK_SAMPLES: usize = 4096;
/// Half of the sideband filter's transition band, as a part of the distance from the carrier to the
/// edge of the real band.
const SIDEBAND_EDGE: f64 = 0.06;
/// Largest factor of one decimator, unless it does all of it.
const MAX_STAGE_FACTOR: usize = 64;
/// Most decimators.
const MAX_STAGES: usize = 5;
/// Cost of an output sample in the stages behind the tuner, in nanoseconds: what a lower rate is
/// worth.
const COST_BEHIND: f64 = 60.0;

/// Cost of a filter that would have to be longer than filters may be.
const TOO_LONG: f64 = 1e6;

/// One downlink's way from the input's samples to its channel.
///
/// The output depends on the samples alone (and on the samples before which [`steer`](Self::steer)
/// was called), never on how they were cut into calls.
#[derive(Debug, Clone)]
pub struct Tuner {
    output_rate_hz: f64,
    /// Input samples per output sample.
    ratio: f64,
    lookahead_samples: f64,
    /// Frequency in the input that the first oscillator brings to 0 Hz, without Doppler.
    centre_hz: f64,
    /// Is there once something has to be shifted.
    oscillator: Oscillator,
    shifting: bool,
    decimators: Vec<Decimator>,
    resampler: Option<Resampler>,
    /// Shifts the middle of the pass-band to where it belongs against the carrier.
    back: Option<Oscillator>,
    /// Between the stages.
    from: Planar,
    to: Planar,
}

/// Which part of the band is kept.
#[derive(Debug, Clone, Copy)]
struct Band {
    /// Middle of the pass-band, against the channel's offset.
    middle_hz: f64,
    /// Half of its width.
    half_width_hz: f64,
    /// Distance from the middle at which the image of a real input must be gone, if there is one.
    image_hz: Option<f64>,
}

/// What is to be built.
#[derive(Debug, Clone, Default)]
struct Plan {
    /// Factor and taps of each decimator.
    decimators: Vec<(usize, Vec<f64>)>,
    rate_hz: f64,
}

impl Tuner {
    /// A tuner for an input of `input_rate_hz` (`real_input`: imaginary parts of 0) to `channel`.
    ///
    /// An input within the channel's rates is taken as it is; one above is decimated, and resampled
    /// where no whole factor fits; one below is interpolated. A channel that is wider than the
    /// input has whatever the input has. Nonsense (rates that are not positive numbers) is read as
    /// the nearest thing with sense; nothing fails.
    pub fn new(input_rate_hz: f64, real_input: bool, channel: &Channel) -> Self {
        let input_rate_hz =
            if input_rate_hz.is_finite() && input_rate_hz > 0.0 { input_rate_hz } else { 1.0 };
        let offset_hz = within_band(channel.offset_hz, input_rate_hz);
        let mut band = band(input_rate_hz, real_input && offset_hz != 0.0, offset_hz, channel);
        let (min_rate_hz, max_rate_hz) = rates(input_rate_hz, channel);

        let mut plan = Plan { decimators: Vec::new(), rate_hz: input_rate_hz };
        let mut resampler = None;
        // Half-band that the lower of the two rates around the resampler can carry.
        let limit = |band: &mut Band, rate_hz: f64| {
            band.half_width_hz = band.half_width_hz.min(WIDEST_PASS * rate_hz);
        };
        if input_rate_hz > max_rate_hz {
            if let Some(factor) = whole_factor(input_rate_hz, min_rate_hz, max_rate_hz, &band) {
                limit(&mut band, input_rate_hz / factor as f64);
                plan = decimation(input_rate_hz, factor, &band);
            } else {
                let most = (input_rate_hz / max_rate_hz).floor().max(1.0) as usize;
                limit(&mut band, max_rate_hz);
                let factor = cheapest_factor(input_rate_hz, most.div_ceil(2), most, &band);
                let factor = factor.unwrap_or(most);
                plan = decimation(input_rate_hz, factor, &band);
                resampler = Some(ratio_within(plan.rate_hz, min_rate_hz, max_rate_hz));
            }
        } else {
            if input_rate_hz < min_rate_hz {
                limit(&mut band, input_rate_hz);
                resampler = Some(ratio_within(input_rate_hz, min_rate_hz, max_rate_hz));
            }
            if band.image_hz.is_some() {
                limit(&mut band, input_rate_hz);
                plan = decimation(input_rate_hz, 1, &band);
            }
        }

        // The image takes half of the power of a real input, and half of its amplitude.
        if band.image_hz.is_some()
            && let Some((_, taps)) = plan.decimators.last_mut()
        {
            taps.iter_mut().for_each(|tap| *tap *= 2.0);
        }
        let mut step = 1.0;
        let mut lookahead_samples = 0.0;
        let decimators: Vec<Decimator> = plan
            .decimators
            .iter()
            .map(|(factor, taps)| {
                let decimator = Decimator::new(taps, *factor);
                lookahead_samples += step * decimator.lookahead_samples() as f64;
                step *= *factor as f64;
                decimator
            })
            .collect();
        let resampler = resampler.map(|ratio| {
            let pass = band.half_width_hz / plan.rate_hz;
            let resampler = match ratio {
                Ratio::Rational(up, down) => Resampler::rational(up, down, pass, 1.0),
                Ratio::Real(ratio) => Resampler::real(ratio, pass, 1.0),
            };
            lookahead_samples += step * resampler.lookahead_samples() as f64;
            step *= resampler.ratio();
            resampler
        });
        let output_rate_hz = input_rate_hz / step;
        let centre_hz = offset_hz + band.middle_hz;
        Self {
            output_rate_hz,
            ratio: step,
            lookahead_samples,
            centre_hz,
            oscillator: Oscillator::new(input_rate_hz, -centre_hz),
            shifting: centre_hz != 0.0,
            decimators,
            resampler,
            back: (band.middle_hz != 0.0).then(|| Oscillator::new(output_rate_hz, band.middle_hz)),
            from: Planar::default(),
            to: Planar::default(),
        }
    }

    /// Sample rate of the output.
    pub fn output_rate_hz(&self) -> f64 {
        self.output_rate_hz
    }

    /// Instant in the input, in samples since the start, for which this output sample stands.
    pub fn input_position(&self, output_index: f64) -> f64 {
        output_index * self.ratio
    }

    /// Input samples after the instant of an output sample that are needed before it comes out.
    pub fn lookahead_samples(&self) -> f64 {
        self.lookahead_samples
    }

    /// From the next input sample on, brings to 0 Hz what is `frequency_hz` above the channel's
    /// offset, moving by `rate_hz_per_s` (Doppler shift, as received). The phase is continuous.
    /// What is not finite counts as 0.
    pub fn steer(&mut self, frequency_hz: f64, rate_hz_per_s: f64) {
        let clean = |x: f64| if x.is_finite() { x } else { 0.0 };
        let (frequency_hz, rate_hz_per_s) = (clean(frequency_hz), clean(rate_hz_per_s));
        self.shifting |= frequency_hz != 0.0 || rate_hz_per_s != 0.0;
        self.oscillator.steer(-(self.centre_hz + frequency_hz), -rate_hz_per_s);
    }

    /// Takes the next input samples and appends the channel's samples that they complete.
    pub fn process(&mut self, samples: &[Complex32], out: &mut Vec<Complex32>) {
        if self.decimators.is_empty() && self.resampler.is_none() {
            let start = out.len();
            out.extend_from_slice(samples);
            if self.shifting {
                self.oscillator.mix(&mut out[start..]);
            }
            return;
        }
        for block in samples.chunks(BLOCK_SAMPLES) {
            self.from.clear();
            if self.shifting {
                self.oscillator.mix_into(block, &mut self.from);
            } else {
                self.from.extend(block);
            }
            self.through_stages(false, out);
        }
    }

    /// The input has ended (or has a gap): appends the samples up to its end, as if zeros followed.
    /// Then it is as new, with positions from 0, except that it stays where it was steered to.
    pub fn finish(&mut self, out: &mut Vec<Complex32>) {
        self.from.clear();
        self.through_stages(true, out);
        self.oscillator.restart();
        if let Some(back) = &mut self.back {
            back.restart();
        }
    }

    /// Takes what is in `from` through all stages behind the first oscillator.
    fn through_stages(&mut self, finish: bool, out: &mut Vec<Complex32>) {
        for stage in &mut self.decimators {
            self.to.clear();
            stage.process(&self.from, &mut self.to);
            if finish {
                stage.finish(&mut self.to);
            }
            std::mem::swap(&mut self.from, &mut self.to);
        }
        if let Some(resampler) = &mut self.resampler {
            self.to.clear();
            resampler.process(&self.from, &mut self.to);
            if finish {
                resampler.finish(&mut self.to);
            }
            std::mem::swap(&mut self.from, &mut self.to);
        }
        let start = out.len();
        self.from.interleave_into(out);
        if let Some(back) = &mut self.back {
            back.mix(&mut out[start..]);
        }
    }
}

/// A frequency within plus and minus half the sample rate.
fn within_band(frequency_hz: f64, sample_rate_hz: f64) -> f64 {
    if !frequency_hz.is_finite() {
        return 0.0;
    }
    frequency_hz - sample_rate_hz * (frequency_hz / sample_rate_hz).round()
}

/// What is kept around the offset.
fn band(rate_hz: f64, has_image: bool, offset_hz: f64, channel: &Channel) -> Band {
    let half_hz = channel.half_bandwidth_hz;
    let half_hz = if half_hz > 0.0 { half_hz.min(0.5 * rate_hz) } else { 0.5 * rate_hz };
    let plain = Band { middle_hz: 0.0, half_width_hz: half_hz, image_hz: None };
    if !has_image {
        return plain;
    }
    // The signal's half of the real band reaches from 0 Hz (`below` the carrier) to half the sample
    // rate (`above` it); mirrored for a carrier at a negative frequency.
    let (below, above) = (offset_hz.abs(), 0.5 * rate_hz - offset_hz.abs());
    let edge_hz = SIDEBAND_EDGE * below.min(above);
    let (low, high) = (-half_hz.min(below - edge_hz), half_hz.min(above - edge_hz));
    if high - low <= 1e-9 * rate_hz {
        // The carrier is at half the sample rate, where a signal is its own image.
        return plain;
    }
    let middle_hz = 0.5 * (low + high);
    let image_hz = (middle_hz + below + edge_hz).min(above + edge_hz - middle_hz);
    Band {
        middle_hz: middle_hz * offset_hz.signum(),
        half_width_hz: 0.5 * (high - low),
        image_hz: Some(image_hz),
    }
}

/// Lowest and highest output rate, positive and in this order.
fn rates(input_rate_hz: f64, channel: &Channel) -> (f64, f64) {
    let max = channel.max_rate_hz;
    let max = if max > 0.0 { max } else { f64::INFINITY };
    let min = channel.min_rate_hz;
    let min = if min > 0.0 { min.min(MAX_INTERPOLATION as f64 * input_rate_hz) } else { 0.0 };
    // A rate that carries the whole width with room for the filter's edge, if there is one.
    let wide = channel.half_bandwidth_hz / WIDEST_PASS;
    let roomy = if wide.is_finite() && wide > min && wide <= max { wide } else { min };
    let roomy = if input_rate_hz > max { roomy } else { min };
    let lowest = input_rate_hz / 1e9;
    (roomy.max(lowest), max.max(min).max(lowest))
}

/// Number of taps of a decimator to `rate_hz / factor`.
fn stage_length(rate_hz: f64, pass_hz: f64, stop_hz: f64) -> usize {
    lowpass_length(stop_hz - pass_hz, ATTENUATION_DB, rate_hz)
}

/// Nanoseconds per output sample of a filter, from its length.
fn stage_cost(length: usize) -> f64 {
    6.0 + 0.1 * length.next_multiple_of(TAP_LANES) as f64
}

/// The cheapest decimators for `factor`: their factors, whether a filter without decimation
/// follows that removes the image, and the cost in nanoseconds per input sample.
fn cheapest(rate_hz: f64, factor: usize, band: &Band, stages: usize) -> (Vec<usize>, f64) {
    let pass_hz = band.half_width_hz;
    // All at once.
    let output_rate_hz = rate_hz / factor as f64;
    let alias_hz = output_rate_hz - pass_hz;
    let stop_hz = band.image_hz.unwrap_or(alias_hz).min(alias_hz);
    let length = stage_length(rate_hz, pass_hz, stop_hz);
    let mut cost = stage_cost(length) / factor as f64;
    if length >= MAX_TAPS {
        cost += TOO_LONG;
    }
    let mut best = (vec![factor], cost);
    if stages > 1 {
        // Ending with 1 is a filter of its own for the image.
        // Large factors first: these are mostly the best, and the others are then given up early.
        for first in (2..=factor.min(MAX_STAGE_FACTOR)).rev() {
            if !factor.is_multiple_of(first) || (first == factor && band.image_hz.is_none()) {
                continue;
            }
            let next_rate_hz = rate_hz / first as f64;
            let length = stage_length(rate_hz, pass_hz, next_rate_hz - pass_hz);
            let cost = stage_cost(length) / first as f64;
            if cost >= best.1 {
                continue;
            }
            let (later, later_cost) = cheapest(next_rate_hz, factor / first, band, stages - 1);
            let cost = cost + later_cost / first as f64;
            if cost < best.1 {
                best = (std::iter::once(first).chain(later).collect(), cost);
            }
        }
    }
    best
}

/// The whole factor that decimates to a rate between the two with the least work, if there is one.
fn whole_factor(rate_hz: f64, min_hz: f64, max_hz: f64, band: &Band) -> Option<usize> {
    /// A little more or less than the bounds, for factors that meet them but for rounding.
    const SLACK: f64 = 1e-9;
    let least = (rate_hz / max_hz * (1.0 - SLACK)).ceil().max(1.0) as usize;
    let most = (rate_hz / min_hz * (1.0 + SLACK)).floor() as usize;
    cheapest_factor(rate_hz, least, most, band)
}

/// The factor of `least ..= most` whose decimation, with everything behind it, is the least work;
/// `None` if there is none with filters of a sensible length.
fn cheapest_factor(rate_hz: f64, least: usize, most: usize, band: &Band) -> Option<usize> {
    /// As many factors are all tried; of more, those with small primes, and this many of the rest.
    const FEW: usize = 64;
    let cost = |factor: usize| {
        let mut band = *band;
        band.half_width_hz = band.half_width_hz.min(WIDEST_PASS * rate_hz / factor as f64);
        cheapest(rate_hz, factor, &band, MAX_STAGES).1 + COST_BEHIND / factor as f64
    };
    // The rest costs more than the best of these: the rate behind would be four times the lowest.
    let least = least.max(most / 4);
    let few = most.saturating_sub(FEW - 1).max(least)..=most;
    let smooth = smooth_numbers(least, most);
    let every = smooth.len().div_ceil(FEW).max(1);
    few.chain(smooth.into_iter().step_by(every))
        .map(|factor| (factor, cost(factor)))
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .filter(|&(_, cost)| cost < TOO_LONG)
        .map(|(factor, _)| factor)
}

/// Numbers of `least ..= most` without primes above 7.
fn smooth_numbers(least: usize, most: usize) -> Vec<usize> {
    let mut numbers = vec![1_usize];
    for prime in [2, 3, 5, 7] {
        let mut at = 0;
        while let Some(&number) = numbers.get(at) {
            if let Some(next) = number.checked_mul(prime).filter(|&next| next <= most) {
                numbers.push(next);
            }
            at += 1;
        }
    }
    numbers.retain(|number| (least..=most).contains(number));
    numbers
}

/// Filters for a decimation by `factor`.
fn decimation(rate_hz: f64, factor: usize, band: &Band) -> Plan {
    let mut plan = Plan { decimators: Vec::new(), rate_hz };
    let pass_hz = band.half_width_hz;
    if factor == 1 && band.image_hz.is_none() {
        return plan;
    }
    let (factors, _) = cheapest(rate_hz, factor, band, MAX_STAGES);
    let last = factors.len() - 1;
    for (n, &factor) in factors.iter().enumerate() {
        let alias_hz = plan.rate_hz / factor as f64 - pass_hz;
        let stop_hz = match band.image_hz {
            Some(image_hz) if n == last => image_hz.min(alias_hz),
            _ => alias_hz,
        };
        let taps =
            lowpass(0.5 * (pass_hz + stop_hz), stop_hz - pass_hz, ATTENUATION_DB, plan.rate_hz);
        plan.decimators.push((factor, taps));
        plan.rate_hz /= factor as f64;
    }
    plan
}

/// Ratio of a resampler.
#[derive(Debug, Clone, Copy)]
enum Ratio {
    /// Output samples for input samples.
    Rational(usize, usize),
    /// Input samples per output sample.
    Real(f64),
}

/// The simplest ratio from `rate_hz` to a rate between the two.
fn ratio_within(rate_hz: f64, min_hz: f64, max_hz: f64) -> Ratio {
    /// A little more or less than the bounds, for ratios that meet them but for rounding.
    const SLACK: f64 = 1e-9;
    for up in 1..=MAX_INTERPOLATION {
        let fast_hz = rate_hz * up as f64;
        let down = (fast_hz / max_hz * (1.0 - SLACK)).ceil().max(1.0);
        if down * min_hz <= fast_hz * (1.0 + SLACK) && down < 1e6 {
            // Only as many phases as make sense in memory beside 257 of them.
            if up <= 512 || down == 1.0 {
                return Ratio::Rational(up, down as usize);
            }
            break;
        }
    }
    let target_hz = if max_hz.is_finite() { 0.5 * (min_hz + max_hz) } else { min_hz };
    Ratio::Real(clean_ratio(rate_hz / target_hz))
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use num_complex::Complex64;
    use proptest::prelude::*;

    use super::*;

    fn channel(offset_hz: f64, half_hz: f64, min_hz: f64, max_hz: f64) -> Channel {
        Channel { offset_hz, half_bandwidth_hz: half_hz, min_rate_hz: min_hz, max_rate_hz: max_hz }
    }

    /// `amplitude·exp(i·2π·f·n/rate)`, or its real part.
    fn tone(rate_hz: f64, f_hz: f64, amplitude: f64, count: usize, real: bool) -> Vec<Complex32> {
        (0..count)
            .map(|n| {
                let turn = (f_hz * n as f64 / rate_hz).fract();
                let x = Complex64::from_polar(amplitude, TAU * turn);
                Complex32::new(x.re as f32, if real { 0.0 } else { x.im as f32 })
            })
            .collect()
    }

    fn run(tuner: &mut Tuner, input: &[Complex32]) -> Vec<Complex32> {
        let mut out = Vec::new();
        tuner.process(input, &mut out);
        tuner.finish(&mut out);
        out
    }

    /// Output samples that no end of the input reaches.
    fn inside(tuner: &Tuner, length: usize) -> std::ops::Range<usize> {
        let edge = (tuner.lookahead_samples() / tuner.ratio).ceil() as usize + 8;
        assert!(length > 2 * edge + 50, "{length} {edge}");
        edge..length - edge
    }

    /// The inputs and channels that the field has: input rate, real, channel.
    fn scenes() -> Vec<(f64, bool, Channel)> {
        vec![
            // Two samples a symbol.
            (19_200.0, false, channel(0.0, 7_500.0, 38_400.0, 76_800.0)),
            (2_400.0, false, channel(0.0, 900.0, 4_800.0, 9_600.0)),
            (48_000.0, false, channel(0.0, 15_000.0, 38_400.0, 76_800.0)),
            (48_000.0, false, channel(9_000.0, 5_000.0, 19_200.0, 24_000.0)),
            (48_000.0, false, channel(0.0, 2_500.0, 4_800.0, 9_600.0)),
            // No whole factor fits.
            (50_000.0, false, channel(-3_000.0, 15_000.0, 40_000.0, 48_000.0)),
            (57_600.0, false, channel(0.0, 12_000.0, 38_400.0, 38_400.0)),
            (44_100.0, false, channel(0.0, 12_000.0, 48_000.0, 48_000.0)),
            (97_531.0, false, channel(100.0, 10_000.0, 47_999.123, 47_999.123)),
            (250_000.0, false, channel(40_000.0, 20_000.0, 48_000.0, 96_000.0)),
            (2_400_000.0, false, channel(-700_000.0, 20_000.0, 48_000.0, 80_000.0)),
            (2_048_000.0, false, channel(300_000.0, 20_000.0, 50_000.0, 50_000.0)),
            (60_000_000.0, false, channel(12_345_678.0, 20_000.0, 48_000.0, 96_000.0)),
            (61_440_000.0, false, channel(-1e6, 1e6, 4e6, 8e6)),
            // Real inputs: audio, intermediate frequencies.
            (48_000.0, true, channel(1_500.0, 2_200.0, 4_800.0, 9_600.0)),
            (48_000.0, true, channel(12_000.0, 11_000.0, 38_400.0, 76_800.0)),
            (48_000.0, true, channel(1_700.0, 1_400.0, 9_600.0, 19_200.0)),
            (48_000.0, true, channel(-12_000.0, 8_000.0, 20_000.0, 24_000.0)),
            (11_025.0, true, channel(1_700.0, 1_600.0, 9_600.0, 19_200.0)),
            (8_000.0, true, channel(1_700.0, 1_600.0, 9_600.0, 19_200.0)),
            (192_000.0, true, channel(20_000.0, 15_000.0, 38_400.0, 76_800.0)),
        ]
    }

    /// The pass-band that the tuner promises for a scene.
    fn promised(scene: &(f64, bool, Channel), output_rate_hz: f64) -> (f64, f64) {
        let (rate_hz, real, channel) = scene;
        let carried = 0.46 * rate_hz.min(output_rate_hz);
        let half = channel.half_bandwidth_hz.min(carried);
        if *real {
            let below = 0.94 * channel.offset_hz.abs();
            let above = 0.94 * (0.5 * rate_hz - channel.offset_hz.abs());
            let (low, high) = (-half.min(below), half.min(above));
            return if channel.offset_hz < 0.0 { (-high, -low) } else { (low, high) };
        }
        (-half, half)
    }

    #[test]
    fn rates_are_within_the_bounds() {
        for scene in scenes() {
            let (rate_hz, real, channel) = &scene;
            let tuner = Tuner::new(*rate_hz, *real, channel);
            let out_hz = tuner.output_rate_hz();
            assert!(out_hz > channel.min_rate_hz * (1.0 - 1e-8), "{scene:?}: {out_hz}");
            assert!(out_hz < channel.max_rate_hz * (1.0 + 1e-8), "{scene:?}: {out_hz}");
            assert!((tuner.input_position(1_000.0) - 1_000.0 * rate_hz / out_hz).abs() < 1e-6);
        }
    }

    #[test]
    fn tones_keep_amplitude_frequency_and_phase() {
        for scene in scenes() {
            let (rate_hz, real, channel) = &scene;
            let mut tuner = Tuner::new(*rate_hz, *real, channel);
            let (low, high) = promised(&scene, tuner.output_rate_hz());
            let count =
                (2.5 * tuner.lookahead_samples() + 150.0 * tuner.ratio).ceil() as usize + 100;
            for part in [0.001, 0.3, 0.55, 0.999] {
                let f_hz = low + part * (high - low);
                let input = tone(*rate_hz, channel.offset_hz + f_hz, 0.5, count, *real);
                let out = run(&mut tuner, &input);
                let expected = count as f64 / tuner.ratio;
                assert!((out.len() as f64 - expected).abs() < 2.0, "{scene:?}");
                for n in inside(&tuner, out.len()) {
                    let position = tuner.input_position(n as f64);
                    let turn = f_hz * position / rate_hz;
                    let expected = Complex64::from_polar(0.5, TAU * turn);
                    let x = Complex64::new(out[n].re.into(), out[n].im.into());
                    let error = (x - expected).norm() / 0.5;
                    // 0.1 dB is 1.2e-2.
                    assert!(error < 1e-3, "{scene:?} {f_hz} {n}: {error:e}");
                }
            }
        }
    }

    /// Everything outside the channel that could fold into it, or is the image of what is in it.
    #[test]
    fn aliases_and_images_are_70_db_down() {
        for scene in scenes() {
            let (rate_hz, real, channel) = &scene;
            let mut tuner = Tuner::new(*rate_hz, *real, channel);
            let out_hz = tuner.output_rate_hz();
            let (low, high) = promised(&scene, out_hz);
            let count =
                (2.5 * tuner.lookahead_samples() + 300.0 * tuner.ratio).ceil() as usize + 100;
            let mut others = Vec::new();
            if out_hz < *rate_hz {
                // Some of the bands that fold onto the pass-band.
                let bands = (rate_hz / out_hz).floor() as i64;
                for k in [1, -1, 2, -3, 7, bands / 2, bands / 2 - 1, -bands / 3] {
                    if k != 0 && k.abs() <= bands / 2 {
                        let band_hz = k as f64 * out_hz;
                        others.extend([low, 0.1 * high, high].map(|f| f + band_hz));
                    }
                }
            }
            let mut spectrum = crate::dsp::spectrum::PowerSpectrum::new(256);
            let mut power = vec![0.0; 256];
            for f_hz in others {
                // A real input has only one half of the band.
                let f_in = channel.offset_hz + f_hz;
                if f_in.abs() > 0.5 * rate_hz
                    || *real && (f_in - channel.offset_hz).abs() < out_hz - high.max(-low)
                    || *real && f_in * channel.offset_hz < 0.0
                {
                    continue;
                }
                let input = tone(*rate_hz, f_in, 1.0, count, *real);
                let out = run(&mut tuner, &input);
                let range = inside(&tuner, out.len());
                spectrum.process(&out[range.start..], &mut power);
                // Within the pass-band, as far as the window resolves its edge.
                let margin_hz = 2.0 * out_hz / 256.0;
                for (bin, p) in power.iter().enumerate() {
                    let bin_hz = spectrum.bin_frequency_hz(bin, out_hz);
                    if bin_hz > low + margin_hz && bin_hz < high - margin_hz {
                        let db = 10.0 * (p / (256.0 / 1.5)).log10();
                        assert!(db < -70.0, "{scene:?} {f_hz}: {db} dB at {bin_hz}");
                    }
                }
            }
            if *real {
                // The image of a tone in the pass-band.
                for part in [0.05, 0.3, 0.95] {
                    let f_hz = low + part * (high - low);
                    let input = tone(*rate_hz, channel.offset_hz + f_hz, 1.0, count, true);
                    let out = run(&mut tuner, &input);
                    let range = inside(&tuner, out.len());
                    for n in range {
                        let amplitude = out[n].norm();
                        assert!((amplitude - 1.0).abs() < 1e-3, "{scene:?} {f_hz}: {amplitude}");
                    }
                }
            }
        }
    }

    #[test]
    fn an_impulse_comes_out_where_it_went_in() {
        for scene in scenes() {
            let (rate_hz, real, channel) = &scene;
            let mut tuner = Tuner::new(*rate_hz, *real, channel);
            let ratio = tuner.ratio;
            let (low, high) = promised(&scene, tuner.output_rate_hz());
            // As short as the channel is wide: a Gaussian of 6 standard deviations.
            let sigma = rate_hz * 6.0 / (TAU * 0.5 * (high - low));
            let count = (4.0 * tuner.lookahead_samples() + 200.0 * ratio + 20.0 * sigma) as usize;
            let at = count / 2;
            let middle_hz = channel.offset_hz + 0.5 * (low + high);
            let mut input = tone(*rate_hz, middle_hz, 1.0, count, *real);
            for (n, x) in input.iter_mut().enumerate() {
                let t = (n as f64 - at as f64) / sigma;
                *x *= (-0.5 * t * t).exp() as f32;
            }
            let out = run(&mut tuner, &input);
            // The centre of energy is the position.
            let energy: f64 = out.iter().map(|x| f64::from(x.norm_sqr())).sum();
            let moment: f64 =
                out.iter().enumerate().map(|(n, x)| n as f64 * f64::from(x.norm_sqr())).sum();
            let centre = tuner.input_position(moment / energy);
            let error = (centre - at as f64).abs();
            assert!(error < 1e-3 * ratio.max(1.0), "{scene:?}: {error}");
        }
    }

    #[test]
    fn the_tail_of_the_input_comes_out() {
        for (rate_hz, real, channel) in scenes() {
            let mut tuner = Tuner::new(rate_hz, real, &channel);
            for count in [0, 1, 2, 1_000] {
                let out = run(&mut tuner, &tone(rate_hz, 0.0, 1.0, count, real));
                let expected = (count as f64 / tuner.ratio).ceil();
                assert!((out.len() as f64 - expected).abs() <= 1.0, "{rate_hz} {count}");
                if let Some(last) = out.len().checked_sub(1) {
                    assert!(tuner.input_position(last as f64) < count as f64);
                }
            }
        }
    }

    #[test]
    fn after_finish_it_is_as_new() {
        for (rate_hz, real, channel) in scenes() {
            let mut tuner = Tuner::new(rate_hz, real, &channel);
            let input = tone(rate_hz, channel.offset_hz + 10.0, 1.0, 3_001, real);
            let first = run(&mut tuner, &input);
            assert_eq!(run(&mut tuner, &input), first);
        }
    }

    #[test]
    fn an_input_that_fits_goes_through_untouched() {
        let input = tone(48_000.0, 1_234.0, 0.7, 5_000, false);
        for (real, half_hz) in [(false, 100.0), (false, 1e9), (true, 10_000.0)] {
            let mut tuner = Tuner::new(48_000.0, real, &channel(0.0, half_hz, 38_400.0, 76_800.0));
            assert_eq!(run(&mut tuner, &input), input);
            assert_eq!(tuner.lookahead_samples(), 0.0);
        }
    }

    #[test]
    fn fm_audio_stays_real() {
        for rate_hz in [22_050.0, 48_000.0, 192_000.0] {
            let mut tuner = Tuner::new(rate_hz, true, &channel(0.0, 9_600.0, 38_400.0, 76_800.0));
            let out = run(&mut tuner, &tone(rate_hz, 3_000.0, 0.4, 9_000, true));
            assert!(out.iter().all(|x| x.im == 0.0));
            let range = inside(&tuner, out.len());
            let peak = out[range].iter().map(|x| x.re).fold(0.0, f32::max);
            assert!((peak - 0.4).abs() < 0.01, "{rate_hz} {peak}");
        }
    }

    #[test]
    fn doppler_is_taken_out_without_a_jump() {
        // A carrier that moves by 2 kHz/s from 3 kHz on, followed by a tuner told about it in the
        // middle of the input.
        let rate_hz = 250_000.0;
        let channel = channel(20_000.0, 10_000.0, 48_000.0, 96_000.0);
        for real in [false, true] {
            let phase = |n: f64| {
                let t = n / rate_hz;
                23_000.0 * t + 1_000.0 * t * t
            };
            let input: Vec<Complex32> = (0..100_000)
                .map(|n| {
                    let x = Complex64::from_polar(1.0, TAU * phase(f64::from(n)).fract());
                    Complex32::new(x.re as f32, if real { 0.0 } else { x.im as f32 })
                })
                .collect();
            let mut tuner = Tuner::new(rate_hz, real, &channel);
            let mut out = Vec::new();
            let steered = 30_011;
            tuner.process(&input[..steered], &mut out);
            let t = steered as f64 / rate_hz;
            tuner.steer(3_000.0 + 2_000.0 * t, 2_000.0);
            tuner.process(&input[steered..], &mut out);
            tuner.finish(&mut out);
            let range = inside(&tuner, out.len());
            let mut constant: Option<Complex32> = None;
            for n in range {
                let position = tuner.input_position(n as f64);
                let far = tuner.lookahead_samples();
                let x = out[n];
                assert!((x.norm() - 1.0).abs() < 2e-2, "{n} {x}");
                if position < steered as f64 - far {
                    // Not steered: the carrier turns as it did, against the offset.
                    let turn = phase(position) - 20_000.0 * position / rate_hz;
                    let expected = Complex64::from_polar(1.0, TAU * turn);
                    let error = Complex64::new(x.re.into(), x.im.into()) - expected;
                    assert!(error.norm() < 3e-3, "{n}: {error}");
                } else if position > steered as f64 + far {
                    let constant = *constant.get_or_insert(x);
                    assert!((x - constant).norm() < 2e-3, "{n}: {x} {constant}");
                }
            }
            // It stands still at the phase that the carrier had when it was steered.
            let turn = phase(steered as f64) - 20_000.0 * t;
            let expected = Complex64::from_polar(1.0, TAU * turn);
            let constant = constant.unwrap_or_default();
            let error = Complex64::new(constant.re.into(), constant.im.into()) - expected;
            assert!(error.norm() < 3e-3, "{constant} {expected}");
        }
    }

    #[test]
    fn garbage_passes() {
        let bad = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, 1e-300, 1e12];
        let input = tone(48_000.0, 100.0, 1.0, 10, false);
        for a in bad {
            for b in bad {
                for real in [false, true] {
                    let c = channel(a, b, 9_600.0, 19_200.0);
                    run(&mut Tuner::new(48_000.0, real, &c), &input);
                    let c = channel(1_000.0, 5_000.0, a.min(1e6), b);
                    run(&mut Tuner::new(48_000.0, real, &c), &input);
                    let c = channel(a, 5_000.0, 9_600.0, 9_600.0);
                    let mut tuner = Tuner::new(b.min(1e9), real, &c);
                    tuner.steer(a, b);
                    run(&mut tuner, &input[..2]);
                }
            }
        }
    }

    #[test]
    fn not_a_number_passes_by() {
        let c = channel(5_000.0, 5_000.0, 19_200.0, 24_000.0);
        let mut tuner = Tuner::new(48_000.0, false, &c);
        let mut input = tone(48_000.0, 5_000.0, 1.0, 10_000, false);
        for x in &mut input[100..110] {
            *x = Complex32::new(f32::NAN, f32::INFINITY);
        }
        let out = run(&mut tuner, &input);
        assert!(out[500..4_000].iter().all(|x| (x - 1.0).norm() < 1e-3));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn any_chunking_gives_the_same(
            pieces in prop::collection::vec(1_usize..6_000, 1..6),
            f_hz in -4_000.0_f64..4_000.0,
            rate in -500.0_f64..500.0,
        ) {
            for (rate_hz, real, channel) in scenes() {
                let input = tone(rate_hz, channel.offset_hz + f_hz, 1.0, 12_000, real);
                let mut tuner = Tuner::new(rate_hz, real, &channel);
                tuner.steer(f_hz, rate);
                let whole = run(&mut tuner.clone(), &input);
                let (mut cut, mut rest, mut turn) = (Vec::new(), &input[..], 0);
                while !rest.is_empty() {
                    let length = pieces[turn % pieces.len()].min(rest.len());
                    tuner.process(&rest[..length], &mut cut);
                    (rest, turn) = (&rest[length..], turn + 1);
                }
                tuner.finish(&mut cut);
                prop_assert_eq!(&cut, &whole);
            }
        }
    }

    #[test]
    fn sample_by_sample_is_the_same() {
        for (rate_hz, real, channel) in scenes() {
            let input = tone(rate_hz, channel.offset_hz + 33.0, 1.0, 5_000, real);
            let mut tuner = Tuner::new(rate_hz, real, &channel);
            let whole = run(&mut tuner, &input);
            let mut cut = Vec::new();
            for x in &input {
                tuner.process(std::slice::from_ref(x), &mut cut);
            }
            tuner.finish(&mut cut);
            assert_eq!(cut, whole);
        }
    }
}
