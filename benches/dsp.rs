//! Speed of the sample kernels and of the tuner, in input samples per second.

#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use num_complex::Complex32;
use tulpar::dsp::decimate::Decimator;
use tulpar::dsp::discriminator::Discriminator;
use tulpar::dsp::filter::lowpass;
use tulpar::dsp::oscillator::Oscillator;
use tulpar::dsp::planar::Planar;
use tulpar::dsp::resample::Resampler;
use tulpar::dsp::tuner::Tuner;
use tulpar::modulation::Channel;

const SAMPLES: usize = 65_536;

fn samples() -> Vec<Complex32> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..SAMPLES).map(|_| Complex32::new(next(), next())).collect()
}

fn kernels(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dsp");
    group.throughput(Throughput::Elements(SAMPLES as u64)).sample_size(20);
    let input = samples();
    let mut planar = Planar::default();
    planar.extend(&input);
    let mut out = Planar::default();

    group.bench_function("oscillator", |bencher| {
        let mut oscillator = Oscillator::new(48_000.0, 1_234.5);
        oscillator.steer(1_234.5, 10.0);
        out.resize(SAMPLES);
        bencher.iter(|| oscillator.fill(black_box(&mut out.re), &mut out.im));
    });
    group.bench_function("oscillator, mixing", |bencher| {
        let mut oscillator = Oscillator::new(48_000.0, 1_234.5);
        bencher.iter(|| {
            // As the tuner does it, in pieces that stay in the cache.
            for piece in input.chunks(4_096) {
                out.clear();
                oscillator.mix_into(black_box(piece), &mut out);
            }
        });
    });
    group.bench_function("discriminator", |bencher| {
        let (mut discriminator, mut hz) = (Discriminator::new(), Vec::new());
        bencher.iter(|| {
            hz.clear();
            discriminator.process(black_box(&input), &mut hz);
        });
    });
    for (taps, factor) in [(31, 8), (63, 2), (255, 64), (127, 1)] {
        let design = lowpass(0.4 / factor as f64, 2.2 / taps as f64, 76.0, 1.0);
        let design = &design[..design.len().min(taps)];
        group.bench_function(format!("decimator, {} taps, by {factor}", design.len()), |bencher| {
            let mut decimator = Decimator::new(design, factor);
            bencher.iter(|| {
                out.clear();
                decimator.process(black_box(&planar), &mut out);
            });
        });
    }
    for (name, mut resampler) in [
        ("resampler, 4/5", Resampler::rational(4, 5, 0.32, 1.0)),
        ("resampler, real 1.2345", Resampler::real(1.2345, 0.32, 1.0)),
        ("resampler, up by 2", Resampler::rational(2, 1, 0.4, 1.0)),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                resampler.process(black_box(&planar), &mut out);
            });
        });
    }
    group.finish();
}

fn tuners(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tuner");
    group.throughput(Throughput::Elements(SAMPLES as u64)).sample_size(20);
    let input = samples();
    for (name, rate_hz, real, offset_hz) in [
        ("48 kS/s, as it is", 48e3, false, 0.0),
        ("48 kS/s, mixed", 48e3, false, 3e3),
        ("48 kS/s, real, 12 kHz", 48e3, true, 12e3),
        ("50 kS/s, resampled", 50e3, false, 3e3),
        ("250 kS/s", 250e3, false, 40e3),
        ("2.4 MS/s", 2.4e6, false, 700e3),
        ("60 MS/s", 60e6, false, 12.345e6),
    ] {
        let max_rate_hz = if rate_hz == 50e3 { 49e3 } else { 96e3 };
        let channel =
            Channel { offset_hz, half_bandwidth_hz: 15e3, min_rate_hz: 38.4e3, max_rate_hz };
        let mut tuner = Tuner::new(rate_hz, real, &channel);
        let mut out = Vec::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                tuner.process(black_box(&input), &mut out);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, kernels, tuners);
criterion_main!(benches);
