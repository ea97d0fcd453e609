//! HDLC frames in a short stretch of bits that is looked at many times, each time with other bits
//! turned: what [`crate::coding::hdlc::Deframer`] finds, some 64 bits at a time.
//!
//! With b the bits in the order of time (a bit before the first is 0), the places that matter are
//!
//! ```text
//!  stuffed 0 at i:   ¬b[i] · b[i-1] … b[i-5] · ¬b[i-6]
//!  end of a flag:    ¬b[i] · b[i-1] … b[i-6] · ¬b[i-7]
//!  abort:             b[i] · b[i-1] … b[i-6]
//! ```
//!
//! Between the 0s that end two flags in a row, at i and j, lie the destuffed bits of the frame and
//! six of the closing flag: `j - i - 2 - (stuffed 0s)` is 6 more than a multiple of 8, or there is
//! no frame. This refuses nearly all trials before any byte of them is put together.

use crate::coding::crc;

/// Bits of the closing flag that count as destuffed content: 011111.
const FLAG_HEAD_BITS: usize = 6;

/// A frame in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowFrame<'a> {
    /// The bytes without FCS, which is right.
    pub bytes: &'a [u8],
    /// Index in the window of the first bit of the opening flag.
    pub first_bit: usize,
    /// Index just after the last bit of the closing flag.
    pub end_bit: usize,
}

/// A stretch of bits.
#[derive(Debug, Clone, Default)]
pub struct Window {
    length: usize,
    /// The bits, the earliest at the bottom of the first word; 0 behind the last.
    bits: Vec<u64>,
    /// Where a stuffed 0 is.
    stuffed: Vec<u64>,
    /// Where a seventh 1 is.
    aborts: Vec<u64>,
    /// Where flags end (their last 0), ascending.
    flags: Vec<usize>,
    bytes: Vec<u8>,
}

impl Window {
    /// Fills the window.
    pub fn set(&mut self, bits: &[u8]) {
        self.length = bits.len();
        let words = bits.len().div_ceil(64);
        self.bits.clear();
        self.bits.extend(bits.chunks(64).map(|chunk| {
            chunk.iter().enumerate().fold(0, |word, (i, bit)| word | u64::from(bit & 1) << i)
        }));
        self.stuffed.resize(words, 0);
        self.aborts.resize(words, 0);
    }

    /// Words to look at: what a call of [`Self::frames`] costs.
    pub fn words(&self) -> usize {
        self.bits.len()
    }

    /// Turns a bit; one that is not in the window is left alone.
    #[inline]
    pub fn turn(&mut self, index: usize) {
        if index < self.length {
            self.bits[index / 64] ^= 1 << (index % 64);
        }
    }

    /// Calls `each` with every frame of `min_bytes` to `max_bytes` whose FCS is right and whose
    /// first `min_bytes` bytes are to the liking of `head`. Returns how many FCS were looked at.
    pub fn frames(
        &mut self,
        min_bytes: usize,
        max_bytes: usize,
        head: impl Fn(&[u8]) -> bool,
        mut each: impl FnMut(WindowFrame<'_>),
    ) -> usize {
        let mut checks = 0;
        self.mark();
        for pair in 1..self.flags.len() {
            let (opening, closing) = (self.flags[pair - 1], self.flags[pair]);
            // The sixth 1 and the 0 of the closing flag are no content.
            let (start, end) = (opening + 1, closing - 1);
            let bits = (end - start) - count(&self.stuffed, start, end);
            if bits % 8 != FLAG_HEAD_BITS || !(min_bytes + 2..=max_bytes + 2).contains(&(bits / 8))
            {
                continue;
            }
            if count(&self.aborts, start, end) > 0 {
                continue;
            }
            self.bytes.clear();
            let next = self.destuff(start, min_bytes);
            if !head(&self.bytes) {
                continue;
            }
            self.destuff(next, bits / 8);
            checks += 1;
            let (bytes, fcs) = self.bytes.split_at(bits / 8 - 2);
            if crc::X25.checksum(bytes) as u16 == u16::from_le_bytes([fcs[0], fcs[1]]) {
                let first_bit = (opening + 1).saturating_sub(8);
                each(WindowFrame { bytes, first_bit, end_bit: closing + 1 });
            }
        }
        checks
    }

    /// Finds the places that matter.
    fn mark(&mut self) {
        self.flags.clear();
        let mut before = 0u64;
        for (index, &now) in self.bits.iter().enumerate() {
            // Bit i of `ago(k)` is b[i - k].
            let ago = |k: u32| now << k | before >> (64 - k);
            let five = ago(1) & ago(2) & ago(3) & ago(4) & ago(5);
            let six = five & ago(6);
            self.stuffed[index] = !now & five & !ago(6);
            self.aborts[index] = now & six;
            let mut ends = !now & six & !ago(7);
            while ends != 0 {
                let end = 64 * index + ends.trailing_zeros() as usize;
                // Behind the last bit there is nothing, not a 0.
                if end < self.length {
                    self.flags.push(end);
                }
                ends &= ends - 1;
            }
            before = now;
        }
    }

    /// Appends destuffed bytes from bit `position` on until there are `count` of them. Returns
    /// where the next one starts. There must be so many.
    fn destuff(&mut self, mut position: usize, count: usize) -> usize {
        while self.bytes.len() < count && position < self.length {
            if octet(&self.stuffed, position) == 0 {
                self.bytes.push(octet(&self.bits, position) as u8);
                position += 8;
                continue;
            }
            let (mut byte, mut filled) = (0u8, 0);
            while filled < 8 && position < self.length {
                let (word, bit) = (position / 64, position % 64);
                if self.stuffed[word] >> bit & 1 == 0 {
                    byte |= ((self.bits[word] >> bit & 1) as u8) << filled;
                    filled += 1;
                }
                position += 1;
            }
            self.bytes.push(byte);
        }
        self.bytes.resize(count, 0);
        position
    }
}

/// The eight bits from `position` on; 0 behind the last word.
#[inline]
fn octet(words: &[u64], position: usize) -> u64 {
    let (word, bit) = (position / 64, position % 64);
    let low = words[word] >> bit;
    let high = if bit > 56 { words.get(word + 1).map_or(0, |next| next << (64 - bit)) } else { 0 };
    (low | high) & 0xFF
}

/// How many of the bits `from..to` are set.
fn count(words: &[u64], from: usize, to: usize) -> usize {
    if from >= to {
        return 0;
    }
    let (first, last) = (from / 64, (to - 1) / 64);
    let head = u64::MAX << (from % 64);
    let tail = u64::MAX >> (63 - (to - 1) % 64);
    if first == last {
        return (words[first] & head & tail).count_ones() as usize;
    }
    let middle: u32 = words[first + 1..last].iter().map(|word| word.count_ones()).sum();
    ((words[first] & head).count_ones() + middle + (words[last] & tail).count_ones()) as usize
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::coding::hdlc::{Deframer, encode_flag, encode_frame};
    use rand::{Rng, RngCore, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    type Found = Vec<(Vec<u8>, usize, usize)>;

    fn found(window: &mut Window, min: usize, max: usize, head: fn(&[u8]) -> bool) -> Found {
        let mut out = Vec::new();
        window.frames(min, max, head, |f| out.push((f.bytes.to_vec(), f.first_bit, f.end_bit)));
        out
    }

    /// The slow twin: one bit at a time.
    fn twin(bits: &[u8], min: usize, max: usize, head: fn(&[u8]) -> bool) -> Found {
        let mut deframer = Deframer::new(min, max);
        let mut out = Vec::new();
        for &bit in bits {
            if let Some(Ok(content)) = deframer.push(bit)
                && head(&content.bytes[..min])
            {
                let (first, end) = (content.first_bit as usize, content.end_bit as usize);
                out.push((content.bytes.to_vec(), first, end));
            }
        }
        out
    }

    /// Frames, shared flags, aborts, rubbish, and bits turned: always what the twin finds.
    #[test]
    fn finds_what_the_deframer_finds() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut window = Window::default();
        let mut total = 0;
        for round in 0..3000 {
            let mut bits = Vec::new();
            while bits.len() < 300 {
                match rng.random_range(0..6) {
                    0 | 1 => encode_flag(&mut bits),
                    2 => bits.extend([1, 1, 1, 1, 1, 1, 0]),
                    3 => bits.extend((0..rng.random_range(1..9)).map(|_| 1)),
                    4 => {
                        bits.extend((0..rng.random_range(0..20)).map(|_| rng.random_range(0..2u8)))
                    }
                    _ => {
                        let mut bytes = vec![0xFF; rng.random_range(0..20)];
                        if rng.random() {
                            rng.fill_bytes(&mut bytes);
                        }
                        encode_flag(&mut bits);
                        encode_frame(&bytes, &mut bits);
                        encode_flag(&mut bits);
                    }
                }
            }
            bits.truncate(rng.random_range(0..=bits.len()));
            window.set(&bits);
            assert_eq!(window.words(), bits.len().div_ceil(64));
            let head: fn(&[u8]) -> bool =
                if round % 2 == 0 { |_| true } else { |head| head.len() < 3 || head[2] & 1 == 0 };
            for _ in 0..4 {
                let (min, max) = (rng.random_range(0..4), rng.random_range(4..20));
                let expected = twin(&bits, min, max, head);
                assert_eq!(found(&mut window, min, max, head), expected);
                total += expected.len();
                for _ in 0..rng.random_range(0..3) {
                    let index = rng.random_range(0..300);
                    window.turn(index);
                    if let Some(bit) = bits.get_mut(index) {
                        *bit ^= 1;
                    }
                }
            }
        }
        assert!(total > 3000, "{total}");
    }
}
