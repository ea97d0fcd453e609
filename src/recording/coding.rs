//! How samples are stored.

use std::str::FromStr;

use num_complex::Complex32;

use crate::error::RequestError;

/// How samples are stored. Integers are rounded, and clipped at full scale; NaN becomes 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SampleCoding {
    /// 16-bit integers, little endian.
    #[default]
    Ci16,
    /// 8-bit integers.
    Ci8,
    /// 32-bit floats, little endian.
    Cf32,
}

impl SampleCoding {
    /// `core:datatype` of SigMF for complex or real samples.
    pub fn datatype(self, complex: bool) -> &'static str {
        match (self, complex) {
            (SampleCoding::Cf32, true) => "cf32_le",
            (SampleCoding::Ci16, true) => "ci16_le",
            (SampleCoding::Ci8, true) => "ci8",
            (SampleCoding::Cf32, false) => "rf32_le",
            (SampleCoding::Ci16, false) => "ri16_le",
            (SampleCoding::Ci8, false) => "ri8",
        }
    }

    /// Bytes of one sample.
    pub fn bytes(self, complex: bool) -> usize {
        let number = match self {
            SampleCoding::Ci8 => 1,
            SampleCoding::Ci16 => 2,
            SampleCoding::Cf32 => 4,
        };
        if complex { 2 * number } else { number }
    }

    /// Appends samples; of real ones, the real parts.
    pub fn encode(self, samples: &[Complex32], complex: bool, out: &mut Vec<u8>) {
        // A cast saturates, and takes NaN to 0.
        match self {
            SampleCoding::Ci8 => {
                encode(samples, complex, out, |x| (rounded(128.0 * x) as i8).to_le_bytes());
            }
            SampleCoding::Ci16 => {
                encode(samples, complex, out, |x| (rounded(32_768.0 * x) as i16).to_le_bytes());
            }
            SampleCoding::Cf32 => encode(samples, complex, out, f32::to_le_bytes),
        }
    }
}

impl FromStr for SampleCoding {
    type Err = RequestError;

    fn from_str(text: &str) -> Result<Self, RequestError> {
        match text.trim().to_ascii_lowercase().as_str() {
            "ci16" | "cs16" | "ci16_le" => Ok(SampleCoding::Ci16),
            "ci8" | "cs8" => Ok(SampleCoding::Ci8),
            "cf32" | "cf32_le" => Ok(SampleCoding::Cf32),
            other => Err(RequestError::unknown("--record-format", other, ["ci16", "ci8", "cf32"])),
        }
    }
}

/// To be cut off behind the point: halves go away from 0.
#[inline(always)]
fn rounded(x: f32) -> f32 {
    x + 0.5_f32.copysign(x)
}

#[inline(always)]
fn encode<const N: usize>(
    samples: &[Complex32],
    complex: bool,
    out: &mut Vec<u8>,
    number: impl Fn(f32) -> [u8; N],
) {
    if complex {
        out.extend(samples.iter().flat_map(|z| [number(z.re), number(z.im)]).flatten());
    } else {
        out.extend(samples.iter().flat_map(|z| number(z.re)));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::source::format::SampleFormat;

    #[test]
    fn what_is_stored_reads_back_to_rounding() {
        let samples: Vec<Complex32> = (-300..300)
            .map(|k| Complex32::new(k as f32 / 290.0, (k as f32 * 0.7).sin()))
            .chain([Complex32::new(f32::NAN, f32::INFINITY), Complex32::new(-9.0, 9.0)])
            .collect();
        for (coding, step) in
            [(SampleCoding::Ci8, 1.0 / 128.0), (SampleCoding::Ci16, 1.0 / 32_768.0)]
        {
            for complex in [true, false] {
                let mut bytes = Vec::new();
                coding.encode(&samples, complex, &mut bytes);
                assert_eq!(bytes.len(), samples.len() * coding.bytes(complex));
                let format = SampleFormat::from_name(coding.datatype(complex)).unwrap();
                let mut read = Vec::new();
                assert_eq!(format.convert(&bytes, &mut read), 0);
                for (a, b) in samples.iter().zip(&read) {
                    let expected = |x: f32| {
                        if x.is_nan() { 0.0 } else { x.clamp(-1.0, 1.0 - step) }
                    };
                    assert!((expected(a.re) - b.re).abs() <= 0.5001 * step, "{a} {b}");
                    let im = if complex { expected(a.im) } else { 0.0 };
                    assert!((im - b.im).abs() <= 0.5001 * step, "{a} {b}");
                }
            }
        }
        let mut bytes = Vec::new();
        SampleCoding::Cf32.encode(&samples[..5], true, &mut bytes);
        let mut read = Vec::new();
        SampleFormat::from_name("cf32_le").unwrap().convert(&bytes, &mut read);
        assert_eq!(read, samples[..5]);
    }

    #[test]
    fn names_are_checked() {
        assert_eq!("CS16 ".parse::<SampleCoding>().unwrap(), SampleCoding::Ci16);
        assert_eq!("ci8".parse::<SampleCoding>().unwrap(), SampleCoding::Ci8);
        let error = "cf64".parse::<SampleCoding>().unwrap_err().to_string();
        assert!(error.contains("--record-format") && error.contains("cf32"), "{error}");
    }
}
