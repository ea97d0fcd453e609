//! Several transmitters at once, and a converter that is driven too hard.
//!
//! ```text
//! y = x₁ + x₂ + …       each through a channel of its own; the noise is that of the first
//! ```

use num_complex::Complex32;

use super::channel::Channel;
use super::transmitter::{Simulator, Transmission};
use crate::error::RequestError;

/// The sum of several simulated signals; it ends with the last of them.
pub struct Superposition {
    simulators: Vec<Simulator>,
    scratch: Vec<Complex32>,
}

impl Superposition {
    /// One signal, with its channel's noise.
    pub fn new(first: Simulator) -> Self {
        Self { simulators: vec![first], scratch: Vec::new() }
    }

    /// Adds a signal that is `gain_db` stronger than the first at 0 dB gain. Its channel adds no
    /// noise; `channel.esn0_db` and `channel.level_dbfs` do not count.
    ///
    /// # Errors
    /// Those of [`Simulator::new`].
    pub fn add(
        &mut self,
        transmission: Transmission,
        channel: Channel,
        gain_db: f64,
        sample_rate_hz: f64,
    ) -> Result<(), RequestError> {
        let amplitude = self.simulators.first().map_or(1.0, |s| f64::from(s.signal_amplitude()));
        let channel = Channel {
            esn0_db: f64::INFINITY,
            level_dbfs: 20.0 * amplitude.max(1e-30).log10() + gain_db,
            ..channel
        };
        self.simulators.push(Simulator::new(transmission, channel, sample_rate_hz, None, None)?);
        Ok(())
    }

    /// The transmitters, in order.
    pub fn simulators(&self) -> &[Simulator] {
        &self.simulators
    }

    /// Appends up to `max_samples` samples to `out`; returns how many. 0: all signals have ended.
    ///
    /// # Errors
    /// A framing refused a frame.
    pub fn read_samples(
        &mut self,
        out: &mut Vec<Complex32>,
        max_samples: usize,
    ) -> Result<usize, RequestError> {
        let begin = out.len();
        for simulator in &mut self.simulators {
            self.scratch.clear();
            while self.scratch.len() < max_samples {
                let room = max_samples - self.scratch.len();
                if simulator.read_samples(&mut self.scratch, room)? == 0 {
                    break;
                }
            }
            let there = (out.len() - begin).min(self.scratch.len());
            for (sum, x) in out[begin..].iter_mut().zip(&self.scratch) {
                *sum += x;
            }
            out.extend_from_slice(&self.scratch[there..]);
        }
        Ok(out.len() - begin)
    }
}

/// Clips I and Q where a share (0 to 1) of the samples exceeds a level in I or Q; returns the level.
pub fn clip(samples: &mut [Complex32], share: f64) -> f32 {
    let mut peaks: Vec<f32> = samples.iter().map(|x| x.re.abs().max(x.im.abs())).collect();
    if peaks.is_empty() || share.is_nan() {
        return f32::INFINITY;
    }
    let k = ((peaks.len() - 1) as f64 * (1.0 - share.clamp(0.0, 1.0))) as usize;
    let level = *peaks.select_nth_unstable_by(k, f32::total_cmp).1;
    if level.is_nan() {
        return f32::INFINITY;
    }
    for x in samples {
        *x = Complex32::new(x.re.clamp(-level, level), x.im.clamp(-level, level));
    }
    level
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::catalogue::Mode;
    use crate::framing::{self, Options};
    use crate::modulation::{self, Parameters};

    fn transmission(count: usize) -> Transmission {
        let mode = Mode {
            modulation: modulation::find("GMSK").unwrap(),
            parameters: Parameters::new(9600.0),
            framing_descriptor: framing::find("AX.25 G3RUH").unwrap(),
            framing: framing::build("AX.25 G3RUH", &Options::default()).unwrap(),
        };
        Transmission::new(mode, vec![vec![0x55; 40]; count]).unwrap()
    }

    fn read(mut source: impl FnMut(&mut Vec<Complex32>) -> usize) -> Vec<Complex32> {
        let mut out = Vec::new();
        while source(&mut out) > 0 {}
        out
    }

    #[test]
    fn signals_add_up_at_their_ratio_however_they_are_read() {
        let channel = Channel { esn0_db: 15.0, seed: 3, ..Channel::default() };
        let other = Channel { frequency_offset_hz: 9000.0, seed: 4, ..Channel::default() };
        let alone =
            || Simulator::new(transmission(1), channel.clone(), 48_000.0, None, None).unwrap();
        let both = |piece: usize| {
            let mut sum = Superposition::new(alone());
            sum.add(transmission(3), other.clone(), 20.0, 48_000.0).unwrap();
            let samples = read(|out| sum.read_samples(out, piece).unwrap());
            assert_eq!(sum.simulators()[1].sent().len(), 3);
            samples
        };
        let mut first = alone();
        let one = read(|out| first.read_samples(out, 1000).unwrap());
        let all = both(1 << 16);
        assert_eq!(all, both(777));
        assert!(all.len() > one.len());
        // The second is constant where it transmits: 20 dB above the first's signal.
        let largest = all.iter().zip(&one).map(|(a, b)| (a - b).norm()).fold(0.0, f32::max);
        assert!((largest / first.signal_amplitude() - 10.0).abs() < 0.05, "{largest}");
    }

    #[test]
    fn a_share_of_the_samples_is_clipped() {
        let mut samples: Vec<Complex32> =
            (0..10_000).map(|k| Complex32::cis(k as f32 * 0.37) * (k as f32)).collect();
        let level = clip(&mut samples, 0.01);
        let clipped = samples.iter().filter(|x| x.re.abs() >= level || x.im.abs() >= level).count();
        assert!((90..=110).contains(&clipped), "{clipped}");
        assert_eq!(clip(&mut [], 0.1), f32::INFINITY);
        clip(&mut [Complex32::new(f32::NAN, 1.0); 3], 0.5);
    }
}
