//! How samples are coded in a file, and the kernels that make [`Complex32`] of them.
//!
//! A **scalar** is one number; a complex sample is two of them, I before Q. Names are SigMF's:
//! `c` or `r` (complex, real), then `f`, `i`, `u` (IEEE float, two's complement, unsigned) and the
//! number of bits, then `_le` or `_be` (little-endian if neither is said).
//!
//! Full scale is ±1, `n` being the number of bits and `x` the number in the file:
//!
//! | scalar | value |
//! |---|---|
//! | `i8`, `i16`, `i24`, `i32` | `x / 2^(n−1)`: −1 up to just below +1 |
//! | `u8`, `u16`, `u32` | `(x − m) / m` with `m = (2^n − 1) / 2`: exactly −1 to +1, as ADCs (rtl_sdr) mean them; 0 lies between two codes |
//! | unsigned bytes of WAV files | `(x − 128) / 128`: silence is code 128, as WAV defines it |
//! | `f32`, `f64` | `x` as it is |
//!
//! A float that is NaN, infinite, or larger than [`LARGEST_FLOAT`] (its power would overflow what
//! follows) is replaced by 0 and counted.

use num_complex::Complex32;

use crate::error::RequestError;

/// Floats of a larger magnitude are no samples: their power summed over a recording overflows.
pub const LARGEST_FLOAT: f32 = 1e15;

/// How one number is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// Two's complement, 8 bits.
    I8,
    /// Two's complement, 16 bits.
    I16,
    /// Two's complement, 24 bits packed in 3 bytes.
    I24,
    /// Two's complement, 32 bits.
    I32,
    /// Unsigned, 8 bits; zero at 127.5.
    U8,
    /// Unsigned, 8 bits; zero at 128 (WAV).
    WavU8,
    /// Unsigned, 16 bits; zero at 32 767.5.
    U16,
    /// Unsigned, 32 bits; zero at 2 147 483 647.5.
    U32,
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
}

impl Scalar {
    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        match self {
            Scalar::I8 | Scalar::U8 | Scalar::WavU8 => 1,
            Scalar::I16 | Scalar::U16 => 2,
            Scalar::I24 => 3,
            Scalar::I32 | Scalar::U32 | Scalar::F32 => 4,
            Scalar::F64 => 8,
        }
    }
}

/// How samples are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SampleFormat {
    /// The numbers.
    pub scalar: Scalar,
    /// Most significant byte first.
    pub big_endian: bool,
    /// Two numbers a sample, I before Q; otherwise one.
    pub complex: bool,
}

/// What `--format` accepts, for messages.
const NAMES: [&str; 22] = [
    "cu8", "ci8", "cs8", "cu16", "ci16", "cs16", "cu32", "ci32", "cs32", "cf32", "cf64", "ru8",
    "ri8", "rs8", "ru16", "ri16", "rs16", "ru32", "ri32", "rs32", "rf32", "rf64",
];

impl SampleFormat {
    /// The format of that name, in any case; `s` is accepted for `i`. `None` if there is none.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.trim().to_ascii_lowercase();
        let (base, big_endian) = match name.strip_suffix("_be") {
            Some(base) => (base, true),
            None => (name.strip_suffix("_le").unwrap_or(&name), false),
        };
        let (complex, scalar) = match base.split_at_checked(1)? {
            ("c", scalar) => (true, scalar),
            ("r", scalar) => (false, scalar),
            _ => return None,
        };
        let scalar = match scalar {
            "i8" | "s8" => Scalar::I8,
            "i16" | "s16" => Scalar::I16,
            "i32" | "s32" => Scalar::I32,
            "u8" => Scalar::U8,
            "u16" => Scalar::U16,
            "u32" => Scalar::U32,
            "f32" => Scalar::F32,
            "f64" => Scalar::F64,
            _ => return None,
        };
        Some(Self { scalar, big_endian, complex })
    }

    /// The format the user asked for.
    ///
    /// # Errors
    /// There is no such format.
    pub fn from_option(name: &str) -> Result<Self, RequestError> {
        Self::from_name(name).ok_or_else(|| {
            let mut error = RequestError::unknown("--format", name, NAMES);
            error.right.push_str(", each also with _le or _be");
            error
        })
    }

    /// Bytes of one sample of one channel.
    pub fn bytes(self) -> usize {
        self.scalar.bytes() * if self.complex { 2 } else { 1 }
    }

    /// Appends every whole sample of `bytes` to `out`; returns how many numbers were not finite and
    /// became 0.
    pub fn convert(self, bytes: &[u8], out: &mut Vec<Complex32>) -> u64 {
        // Little-endian is the identity byte order of every kernel; big-endian reverses the bytes
        // of a number first. Both are known when compiled, so each arm is one vectorised loop.
        macro_rules! ints {
            ($int:ty, $decode:expr) => {
                if self.big_endian {
                    self.run(bytes, out, |b| $decode(<$int>::from_be_bytes(b)))
                } else {
                    self.run(bytes, out, |b| $decode(<$int>::from_le_bytes(b)))
                }
            };
        }
        match self.scalar {
            Scalar::I8 => ints!(i8, |x| f32::from(x) * (1.0 / 128.0)),
            Scalar::I16 => ints!(i16, |x| f32::from(x) * (1.0 / 32_768.0)),
            Scalar::I32 => ints!(i32, |x| x as f32 * (1.0 / 2_147_483_648.0)),
            Scalar::U8 => ints!(u8, |x| (f32::from(x) - 127.5) / 127.5),
            Scalar::WavU8 => ints!(u8, |x| (f32::from(x) - 128.0) * (1.0 / 128.0)),
            Scalar::U16 => ints!(u16, |x| (f32::from(x) - 32_767.5) / 32_767.5),
            Scalar::U32 => ints!(u32, |x: u32| {
                // x − 2^31 is exact as an integer; the half code matters near 0 only.
                let centred = (x ^ 0x8000_0000) as i32;
                (centred as f32 + 0.5) * (1.0 / 2_147_483_648.0)
            }),
            // The sign comes from the top byte of a 32-bit number whose lowest byte is 0.
            Scalar::I24 if self.big_endian => self.run(bytes, out, |[a, b, c]| {
                i32::from_be_bytes([a, b, c, 0]) as f32 * (1.0 / 2_147_483_648.0)
            }),
            Scalar::I24 => self.run(bytes, out, |[a, b, c]| {
                i32::from_le_bytes([0, a, b, c]) as f32 * (1.0 / 2_147_483_648.0)
            }),
            Scalar::F32 if self.big_endian => self.run_floats(bytes, out, f32::from_be_bytes),
            Scalar::F32 => self.run_floats(bytes, out, f32::from_le_bytes),
            Scalar::F64 if self.big_endian => {
                self.run_floats(bytes, out, |b| f64::from_be_bytes(b) as f32)
            }
            Scalar::F64 => self.run_floats(bytes, out, |b| f64::from_le_bytes(b) as f32),
        }
    }

    /// Numbers that are always finite.
    #[inline(always)]
    fn run<const N: usize>(
        self,
        bytes: &[u8],
        out: &mut Vec<Complex32>,
        decode: impl Fn([u8; N]) -> f32,
    ) -> u64 {
        self.append(bytes, out, |numbers: &[[u8; N]], values| {
            for (value, &number) in values.iter_mut().zip(numbers) {
                *value = decode(number);
            }
            0
        })
    }

    /// Numbers that may be NaN, infinite or absurd.
    #[inline(always)]
    fn run_floats<const N: usize>(
        self,
        bytes: &[u8],
        out: &mut Vec<Complex32>,
        decode: impl Fn([u8; N]) -> f32,
    ) -> u64 {
        self.append(bytes, out, |numbers: &[[u8; N]], values| {
            for (value, &number) in values.iter_mut().zip(numbers) {
                *value = decode(number);
            }
            // By masks and without overflow checks, so that it vectorises in every profile.
            let mut replaced = 0u32;
            for value in values.iter_mut() {
                // False for NaN as well.
                let good = u32::from(value.abs() <= LARGEST_FLOAT);
                *value = f32::from_bits(value.to_bits() & good.wrapping_neg());
                replaced = replaced.wrapping_add(good ^ 1);
            }
            u64::from(replaced)
        })
    }

    /// Converts through a block that stays in the first-level cache: numbers to floats, then floats
    /// to samples. Two plain loops, each of which the compiler vectorises.
    #[inline(always)]
    fn append<const N: usize>(
        self,
        bytes: &[u8],
        out: &mut Vec<Complex32>,
        mut kernel: impl FnMut(&[[u8; N]], &mut [f32]) -> u64,
    ) -> u64 {
        const BLOCK: usize = 1024;
        let mut values = [0f32; BLOCK];
        let (numbers, _) = bytes.as_chunks::<N>();
        let per_sample = if self.complex { 2 } else { 1 };
        let whole = numbers.len() - numbers.len() % per_sample;
        out.reserve(whole / per_sample);
        let mut replaced = 0;
        for numbers in numbers[..whole].chunks(BLOCK) {
            let values = &mut values[..numbers.len()];
            replaced += kernel(numbers, values);
            if self.complex {
                let (pairs, _) = values.as_chunks::<2>();
                out.extend(pairs.iter().map(|&[re, im]| Complex32 { re, im }));
            } else {
                out.extend(values.iter().map(|&re| Complex32 { re, im: 0.0 }));
            }
        }
        replaced
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn convert(name: &str, bytes: &[u8]) -> Vec<Complex32> {
        let mut out = Vec::new();
        SampleFormat::from_name(name).expect(name).convert(bytes, &mut out);
        out
    }

    #[test]
    fn golden_bytes_of_every_format() {
        let c = Complex32::new;
        assert_eq!(
            convert("cu8", &[0, 255, 127, 128]),
            [c(-1.0, 1.0), c(-0.5 / 127.5, 0.5 / 127.5)]
        );
        assert_eq!(convert("ci8", &[0x80, 0x40, 0x7F, 0]), [c(-1.0, 0.5), c(127.0 / 128.0, 0.0)]);
        assert_eq!(convert("cs8", &[0x80, 0x40]), [c(-1.0, 0.5)]);
        assert_eq!(convert("ci16", &[0x00, 0x80, 0x00, 0x40]), [c(-1.0, 0.5)]);
        assert_eq!(convert("cs16_be", &[0x80, 0x00, 0x40, 0x00]), [c(-1.0, 0.5)]);
        assert_eq!(convert("cu16_le", &[0, 0, 0xFF, 0xFF]), [c(-1.0, 1.0)]);
        assert_eq!(convert("cu16_be", &[0xFF, 0xFF, 0, 0]), [c(1.0, -1.0)]);
        assert_eq!(convert("ci32", &[0, 0, 0, 0x80, 0, 0, 0, 0x40]), [c(-1.0, 0.5)]);
        assert_eq!(convert("ci32_be", &[0x80, 0, 0, 0, 0x40, 0, 0, 0]), [c(-1.0, 0.5)]);
        assert_eq!(convert("cu32", &[0, 0, 0, 0, 255, 255, 255, 255]), [c(-1.0, 1.0)]);
        let half = convert("cu32_be", &[0xC0, 0, 0, 0, 0x80, 0, 0, 0]);
        assert_eq!(half[0].re, 0.5);
        assert!(half[0].im > 0.0 && half[0].im < 1e-9);
        assert_eq!(convert("cf32", &[0, 0, 0, 0x3F, 0, 0, 0x80, 0xBF]), [c(0.5, -1.0)]);
        assert_eq!(convert("rf32_be", &[0x3F, 0, 0, 0]), [c(0.5, 0.0)]);
        assert_eq!(convert("rf64_be", &[0x3F, 0xE0, 0, 0, 0, 0, 0, 0]), [c(0.5, 0.0)]);
        assert_eq!(convert("RF64", &[0, 0, 0, 0, 0, 0, 0xE0, 0x3F]), [c(0.5, 0.0)]);
        assert_eq!(convert("ru8", &[255]), [c(1.0, 0.0)]);
        assert_eq!(convert("rs16", &[0x00, 0x40]), [c(0.5, 0.0)]);
    }

    #[test]
    fn wav_bytes_have_zero_at_128_and_24_bits_keep_their_sign() {
        let wav = |scalar, big_endian, bytes: &[u8]| {
            let mut out = Vec::new();
            SampleFormat { scalar, big_endian, complex: false }.convert(bytes, &mut out);
            out.iter().map(|z| z.re).collect::<Vec<_>>()
        };
        assert_eq!(wav(Scalar::WavU8, false, &[0, 128, 192]), [-1.0, 0.0, 0.5]);
        assert_eq!(wav(Scalar::I24, false, &[0, 0, 0x80, 0, 0, 0x40]), [-1.0, 0.5]);
        assert_eq!(wav(Scalar::I24, true, &[0x80, 0, 0, 0x40, 0, 0]), [-1.0, 0.5]);
        assert_eq!(wav(Scalar::I24, false, &[0xFF, 0xFF, 0xFF]), [-1.0 / 8_388_608.0]);
    }

    #[test]
    fn incomplete_samples_are_left_out() {
        for name in NAMES {
            let format = SampleFormat::from_name(name).expect(name);
            for length in 0..40 {
                let mut out = Vec::new();
                format.convert(&vec![1; length], &mut out);
                assert_eq!(out.len(), length / format.bytes(), "{name} {length}");
            }
        }
    }

    #[test]
    fn what_is_no_number_becomes_0_and_is_counted() {
        let values = [1.0, f32::NAN, f32::INFINITY, -f32::INFINITY, 1e16, -0.25];
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let mut out = Vec::new();
        let format = SampleFormat::from_name("cf32").unwrap();
        assert_eq!(format.convert(&bytes, &mut out), 4);
        let c = Complex32::new;
        assert_eq!(out, [c(1.0, 0.0), c(0.0, 0.0), c(0.0, -0.25)]);
        let bytes: Vec<u8> = [1e300, f64::NAN, 0.5].iter().flat_map(|x| x.to_be_bytes()).collect();
        out.clear();
        assert_eq!(SampleFormat::from_name("rf64_be").unwrap().convert(&bytes, &mut out), 2);
        assert_eq!(out, [c(0.0, 0.0), c(0.0, 0.0), c(0.5, 0.0)]);
    }

    #[test]
    fn blocks_join_without_a_seam() {
        let bytes: Vec<u8> = (0..10_000u32).flat_map(|x| (x as u16).to_le_bytes()).collect();
        let samples = convert("ci16", &bytes);
        assert_eq!(samples.len(), 5000);
        for (i, z) in samples.iter().enumerate() {
            let i = i as f32;
            assert_eq!(*z, Complex32::new(2.0 * i / 32_768.0, (2.0 * i + 1.0) / 32_768.0));
        }
    }

    #[test]
    fn unknown_names_are_refused_with_the_nearest() {
        for name in ["", "c", "cf", "cf16", "xf32", "cf32_me", "é", "_le", "cf32_le_be"] {
            assert_eq!(SampleFormat::from_name(name), None, "{name}");
        }
        let error = SampleFormat::from_option("cf31").unwrap_err();
        assert_eq!(error.subject, "--format");
        assert!(error.right.contains("\"cf32\""), "{error}");
    }
}
