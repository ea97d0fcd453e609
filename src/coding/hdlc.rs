//! HDLC frames in a stream of bits (ISO/IEC 13239, 4; AX.25 2.2, 3).
//!
//! ```text
//!  01111110 | bytes, FCS ................ | 01111110
//!    flag     least significant bit first,    flag, may open the next frame;
//!             a 0 after every five 1s         its 0 may be the next flag's 0
//! ```
//!
//! The FCS is the CRC-16/X.25 of the bytes, low byte first. Seven 1s abort a frame.

use crate::coding::crc;

/// The flag, in either bit order.
pub const FLAG: u8 = 0x7E;

/// Appends the bits of one flag.
pub fn encode_flag(bits: &mut Vec<u8>) {
    bits.extend([0, 1, 1, 1, 1, 1, 1, 0]);
}

/// Appends the bits of `bytes` and their FCS, stuffed, without flags.
pub fn encode_frame(bytes: &[u8], bits: &mut Vec<u8>) {
    let fcs = crc::X25.checksum(bytes) as u16;
    let mut ones = 0;
    for byte in bytes.iter().copied().chain(fcs.to_le_bytes()) {
        for i in 0..8 {
            let bit = byte >> i & 1;
            bits.push(bit);
            ones = if bit == 1 { ones + 1 } else { 0 };
            if ones == 5 {
                bits.push(0);
                ones = 0;
            }
        }
    }
}

/// Why what stood between two flags is no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No whole number of bytes, too few of them, or too many (reported without a closing flag).
    Length,
    /// The FCS is wrong.
    Check,
}

/// A frame with a right FCS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content<'a> {
    /// The bytes without FCS.
    pub bytes: &'a [u8],
    /// Index of the first bit of the opening flag, the deframer's first bit being 0.
    pub first_bit: u64,
    /// Index just after the last bit of the closing flag.
    pub end_bit: u64,
}

/// Finds frames in a stream of bits, one bit at a time.
#[derive(Debug, Clone)]
pub struct Deframer {
    /// Smallest and largest frame with FCS.
    min_bytes: usize,
    max_bytes: usize,
    /// Bits taken.
    position: u64,
    /// Ones in a row up to now.
    ones: u8,
    /// A flag has opened a frame, at `first_bit`.
    open: bool,
    first_bit: u64,
    bytes: Vec<u8>,
    /// The frame found last.
    found: Vec<u8>,
    /// Destuffed bits of an incomplete byte, the latest at the top.
    partial: u8,
    partial_bits: u8,
}

/// Bits of the closing flag that have been taken as content before it is seen to be one: 011111.
const FLAG_HEAD_BITS: u8 = 6;

impl Deframer {
    /// A deframer for frames of `min_bytes` to `max_bytes`, FCS not counted.
    pub fn new(min_bytes: usize, max_bytes: usize) -> Self {
        Self {
            min_bytes: min_bytes + 2,
            max_bytes: max_bytes + 2,
            position: 0,
            ones: 0,
            open: false,
            first_bit: 0,
            bytes: Vec::with_capacity(max_bytes + 2),
            found: Vec::with_capacity(max_bytes + 2),
            partial: 0,
            partial_bits: 0,
        }
    }

    /// As new, but for its buffers.
    pub fn restart(&mut self) {
        self.position = 0;
        self.ones = 0;
        self.open = false;
        self.bytes.clear();
        self.partial_bits = 0;
    }

    /// Index of the first bit of the flag that ended with the last bit, if one did.
    pub fn flag_bit(&self) -> Option<u64> {
        (self.open && self.position == self.first_bit + 8).then_some(self.first_bit)
    }

    /// No frame found later has its opening flag before this bit.
    pub fn settled_bit(&self) -> u64 {
        if self.open { self.first_bit } else { self.position.saturating_sub(7) }
    }

    /// Takes the next bit. Something comes out when a flag closes what a flag had opened (nothing
    /// if there was nothing between them), or when a frame grows too long.
    #[inline]
    pub fn push(&mut self, bit: u8) -> Option<Result<Content<'_>, Fault>> {
        self.position += 1;
        if bit & 1 == 1 {
            self.ones = self.ones.saturating_add(1);
            return match self.ones {
                0..=5 => self.append(1),
                6 => None,
                _ => {
                    self.open = false;
                    None
                }
            };
        }
        match std::mem::take(&mut self.ones) {
            0..=4 => self.append(0),
            5 => None,
            6 => self.flag(),
            _ => None,
        }
    }

    /// A destuffed bit.
    #[inline]
    fn append(&mut self, bit: u8) -> Option<Result<Content<'_>, Fault>> {
        if !self.open {
            return None;
        }
        self.partial = self.partial >> 1 | bit << 7;
        self.partial_bits += 1;
        if self.partial_bits == 8 {
            self.partial_bits = 0;
            // One more for the head of the closing flag is never complete.
            if self.bytes.len() == self.max_bytes {
                self.open = false;
                return Some(Err(Fault::Length));
            }
            self.bytes.push(self.partial);
        }
        None
    }

    fn flag(&mut self) -> Option<Result<Content<'_>, Fault>> {
        let was_open = std::mem::replace(&mut self.open, true);
        // The first 0 of a flag may have gone before the first bit.
        let flag_bit = self.position.saturating_sub(8);
        let first_bit = std::mem::replace(&mut self.first_bit, flag_bit);
        let partial_bits = std::mem::take(&mut self.partial_bits);
        std::mem::swap(&mut self.bytes, &mut self.found);
        self.bytes.clear();
        if !was_open {
            return None;
        }
        let aligned = partial_bits == FLAG_HEAD_BITS;
        let count = self.found.len();
        // Flag after flag: 011111 is all there was, or 11111 if they share a 0.
        if count == 0 && (aligned || partial_bits == FLAG_HEAD_BITS - 1) {
            return None;
        }
        if !aligned || count < self.min_bytes {
            return Some(Err(Fault::Length));
        }
        let (bytes, fcs) = self.found.split_at(count - 2);
        if crc::X25.checksum(bytes) as u16 != u16::from_le_bytes([fcs[0], fcs[1]]) {
            return Some(Err(Fault::Check));
        }
        Some(Ok(Content { bytes, first_bit, end_bit: self.position }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::coding::bits::{pack_lsb_first, unpack_msb_first};
    use rand::{Rng, RngCore, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    type Found = Vec<Result<(Vec<u8>, u64, u64), Fault>>;

    fn run(deframer: &mut Deframer, bits: &[u8]) -> Found {
        let mut found = Vec::new();
        for &bit in bits {
            if let Some(result) = deframer.push(bit) {
                found.push(result.map(|c| (c.bytes.to_vec(), c.first_bit, c.end_bit)));
            }
        }
        found
    }

    /// Searches the flags in the whole stream and destuffs what stands between them.
    fn slow(bits: &[u8], min_bytes: usize, max_bytes: usize) -> Vec<(Vec<u8>, u64, u64)> {
        let flags: Vec<usize> = (0..bits.len().saturating_sub(7))
            .filter(|&i| bits[i..i + 8] == [0, 1, 1, 1, 1, 1, 1, 0])
            .collect();
        let mut frames = Vec::new();
        for pair in flags.windows(2) {
            let (start, end) = (pair[0] + 8, pair[1]);
            if start > end || bits[start..end].windows(7).any(|w| w == [1; 7]) {
                continue;
            }
            let mut content = Vec::new();
            let mut ones = 0;
            for &bit in &bits[start..end] {
                if ones == 5 && bit == 0 {
                    ones = 0;
                    continue;
                }
                ones = if bit == 1 { ones + 1 } else { 0 };
                content.push(bit);
            }
            let n = content.len() / 8;
            if content.len() % 8 != 0 || n < min_bytes + 2 || n > max_bytes + 2 {
                continue;
            }
            let mut bytes = Vec::new();
            pack_lsb_first(&content, &mut bytes);
            let fcs = bytes.split_off(n - 2);
            if crc::X25.checksum(&bytes) == u32::from(fcs[1]) << 8 | u32::from(fcs[0]) {
                frames.push((bytes, pair[0] as u64, pair[1] as u64 + 8));
            }
        }
        frames
    }

    #[test]
    fn frames_are_found_however_flags_are_shared() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for sharing in 0..3 {
            let mut bits = vec![1, 0, 1];
            let mut sent = Vec::new();
            encode_flag(&mut bits);
            for i in 0..30 {
                let mut bytes = vec![0; rng.random_range(1..60)];
                rng.fill_bytes(&mut bytes);
                if i % 3 == 0 {
                    bytes.fill(0xFF);
                }
                encode_frame(&bytes, &mut bits);
                sent.push(bytes);
                encode_flag(&mut bits);
                match sharing {
                    0 => {}
                    1 => encode_flag(&mut bits),
                    _ => bits.extend([1, 1, 1, 1, 1, 1, 0]),
                }
            }
            let found = run(&mut Deframer::new(1, 100), &bits);
            let found: Vec<_> = found.into_iter().map(Result::unwrap).collect();
            assert_eq!(found.iter().map(|f| f.0.clone()).collect::<Vec<_>>(), sent);
            assert_eq!(found[0].1, 3);
            assert_eq!(found, slow(&bits, 1, 100));
        }
    }

    #[test]
    fn faults_are_told_apart() {
        let mut frame = Vec::new();
        encode_flag(&mut frame);
        encode_frame(&[1, 2, 3, 4], &mut frame);
        encode_flag(&mut frame);
        assert_eq!(run(&mut Deframer::new(4, 4), &frame), [Ok((vec![1, 2, 3, 4], 0, 64))]);
        assert_eq!(run(&mut Deframer::new(5, 9), &frame), [Err(Fault::Length)]);
        assert_eq!(run(&mut Deframer::new(1, 3), &frame), [Err(Fault::Length)]);
        let mut wrong = frame.clone();
        wrong[12] ^= 1;
        assert_eq!(run(&mut Deframer::new(1, 9), &wrong), [Err(Fault::Check)]);
        let mut unaligned = frame.clone();
        unaligned.insert(9, 0);
        assert_eq!(run(&mut Deframer::new(1, 9), &unaligned), [Err(Fault::Length)]);
        let mut aborted = frame[..30].to_vec();
        aborted.extend([1; 9]);
        aborted.extend(&frame[..]);
        let mut deframer = Deframer::new(1, 9);
        assert_eq!(run(&mut deframer, &aborted), [Ok((vec![1, 2, 3, 4], 39, 103))]);
        assert_eq!(deframer.settled_bit(), 95);
    }

    #[test]
    fn noise_gives_what_the_twin_finds() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut bytes = vec![0; 60_000];
        rng.fill_bytes(&mut bytes);
        let mut bits = Vec::new();
        unpack_msb_first(&bytes, &mut bits);
        // Very short frames, so that some pass by chance.
        let found: Vec<_> =
            run(&mut Deframer::new(0, 50), &bits).into_iter().filter_map(Result::ok).collect();
        assert_eq!(found, slow(&bits, 0, 50));
        let cut = run(&mut Deframer::new(0, 50), &[1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0]);
        assert!(cut.is_empty());
        let one = run(&mut Deframer::new(0, 50), &vec![1; 1000]);
        let zero = run(&mut Deframer::new(0, 50), &vec![0; 1000]);
        assert!(one.is_empty() && zero.is_empty());
    }

    /// AX.25 2.2, 3.8: a station's bytes with the FCS that X.25 gives them.
    #[test]
    fn the_fcs_goes_low_byte_first() {
        let mut bits = Vec::new();
        encode_frame(b"123456789", &mut bits);
        let mut bytes = Vec::new();
        pack_lsb_first(&bits, &mut bytes);
        // No five 1s in these bytes before the FCS 906E.
        assert_eq!(bytes[9..11], [0x6E, 0x90]);
    }
}
