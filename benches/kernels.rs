//! Time per kernel. One function for each, so that `cargo bench --bench kernels -- NAME` picks it.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tulpar::coding::convolutional::{Convention, ConvolutionalEncoder, Known, ViterbiDecoder};
use tulpar::coding::reed_solomon::CCSDS_E16_DUAL;
use tulpar::coding::sync::SyncWord;
use tulpar::coding::{chase, crc, event, golay, hdlc};
use tulpar::effort::Effort;
use tulpar::framing::{Deframed, Options};
use tulpar::modulation::{Mapping, SoftBlock};

fn random_bytes(n: usize) -> Vec<u8> {
    let mut bytes = vec![0; n];
    ChaCha8Rng::seed_from_u64(1).fill_bytes(&mut bytes);
    bytes
}

fn random_llrs(n: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    (0..n).map(|_| rng.random_range(-4.0..4.0)).collect()
}

fn codeword() -> Vec<u8> {
    let mut word = random_bytes(255);
    let (data, parity) = word.split_at_mut(223);
    CCSDS_E16_DUAL.encode(data, parity);
    word
}

fn reed_solomon(c: &mut Criterion) {
    let mut group = c.benchmark_group("reed_solomon_255_223");
    group.throughput(Throughput::Elements(1));
    let sent = codeword();
    group.bench_function("encode", |b| {
        let mut parity = [0; 32];
        b.iter(|| CCSDS_E16_DUAL.encode(black_box(&sent[..223]), &mut parity));
    });
    for errors in [0, 1, 8, 16, 17] {
        let mut received = sent.clone();
        for i in 0..errors {
            received[15 * i] ^= 1 + i as u8;
        }
        group.bench_function(format!("decode_{errors}_errors"), |b| {
            b.iter_batched_ref(
                || received.clone(),
                |word| CCSDS_E16_DUAL.decode(black_box(word), &[]),
                BatchSize::SmallInput,
            );
        });
    }
    let llrs = random_llrs(8 * 255);
    let mut events = Vec::new();
    event::of_symbols(&llrs, &mut events);
    event::sort(&mut events);
    let mut doubts = chase::Doubts::new();
    doubts.add_events(&events, 1, 0, 255);
    doubts.add_alternatives(&events, 1, 0, 255, chase::EVENTS);
    group.bench_function("all_means_on_noise", |b| {
        b.iter_batched_ref(
            || random_bytes(255),
            |word| {
                let mut trials = u32::MAX;
                chase::decode_symbols(&CCSDS_E16_DUAL, black_box(word), &llrs, &doubts, &mut trials)
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn crc(c: &mut Criterion) {
    let mut group = c.benchmark_group("crc");
    let bytes = random_bytes(4096);
    group.throughput(Throughput::Bytes(4096));
    group.bench_function("x25", |b| b.iter(|| crc::X25.checksum(black_box(&bytes))));
    group.bench_function("crc_32c", |b| b.iter(|| crc::CRC_32C.checksum(black_box(&bytes))));
    group.finish();
}

fn golay(c: &mut Criterion) {
    let llrs: [f32; 24] = random_llrs(24).try_into().unwrap();
    let mut group = c.benchmark_group("golay_24_12");
    group.throughput(Throughput::Elements(1));
    group.bench_function("decode_soft_4", |b| {
        b.iter(|| golay::decode_soft::<4>(black_box(&llrs), |data| data & 0xFF > 32));
    });
    group.bench_function("decode_hard", |b| b.iter(|| golay::decode_hard(black_box(0x12_3456))));
    group.finish();
}

fn hdlc(c: &mut Criterion) {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let bits: Vec<u8> = (0..65536).map(|_| rng.random_range(0..2)).collect();
    let mut group = c.benchmark_group("hdlc");
    group.throughput(Throughput::Elements(65536));
    group.bench_function("deframe_noise", |b| {
        let mut deframer = hdlc::Deframer::new(15, 4094);
        b.iter(|| bits.iter().filter(|&&bit| deframer.push(bit).is_some()).count());
    });
    group.finish();
}

fn sync(c: &mut Criterion) {
    let llrs = random_llrs(65536);
    let word = SyncWord::new(0x930B_51DE, 32, 2.8);
    let mut hits = Vec::new();
    let mut group = c.benchmark_group("sync");
    group.throughput(Throughput::Elements(65536));
    group.bench_function("search_32_bits", |b| {
        b.iter(|| {
            hits.clear();
            word.search(black_box(&llrs), &mut hits);
            hits.len()
        });
    });
    group.finish();
}

fn convolutional(c: &mut Criterion) {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut group = c.benchmark_group("convolutional_k7");
    group.throughput(Throughput::Elements(10_200));
    let data: Vec<u8> = (0..10_200).map(|_| rng.random_range(0..2)).collect();
    let mut out = Vec::new();
    group.bench_function("encode", |b| {
        b.iter(|| {
            out.clear();
            ConvolutionalEncoder::new(Convention::Ccsds).encode(black_box(&data), &mut out);
        });
    });
    let llrs = random_llrs(20_400);
    let known = Known { start: Some(0), ..Known::default() };
    for (name, mut decoder) in [
        ("viterbi_64", ViterbiDecoder::new(Convention::Ccsds)),
        ("viterbi_joint_128", ViterbiDecoder::differential(Convention::Ccsds)),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| decoder.decode(black_box(&llrs), &known, &mut out));
        });
    }
    group.finish();
}

/// What a run of noise costs, per symbol: the search for sync words, and vain tries.
fn coded_framings(c: &mut Criterion) {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut group = c.benchmark_group("deframe_noise");
    let symbols = 100_000;
    group.throughput(Throughput::Elements(symbols as u64));
    for name in ["CCSDS Concatenated", "CCSDS Reed-Solomon", "USP"] {
        let framing = tulpar::framing::build(name, &Options::default()).unwrap();
        let block = SoftBlock {
            run: 0,
            first_symbol: 0,
            first_sample: 0.0,
            samples_per_symbol: 4.0,
            frequency_offset_hz: 0.0,
            esn0_db: 0.0,
            mapping: Mapping::Direct,
            llr: (0..symbols)
                .map(|_| (0..4).map(|_| rng.random_range(-2.0..2.0f32)).sum())
                .collect(),
            events: Vec::new(),
            end: false,
        };
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut found = Deframed::default();
                let mut deframer = framing.deframer(Mapping::Direct, Effort::Full);
                deframer.push(black_box(&block), &mut found);
                deframer.finish(&mut found);
                found
            });
        });
    }
    group.finish();
}

criterion_group!(kernels, reed_solomon, crc, golay, hdlc, sync, convolutional, coded_framings);
criterion_main!(kernels);
