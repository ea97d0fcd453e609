//! Reed–Solomon codes over GF(256), shortened or not, with errors and erasures.
//!
//! A codeword of n ≤ 255 bytes, the first being the coefficient of the highest power, is a multiple
//! of `g(x) = ∏ (x - α^(step·(first_root + j)))`, j = 0 … roots-1, where α is a root of the field's
//! polynomial. A shortened code is the same with 255 - n zero bytes in front that are not sent (the
//! *virtual fill*). It corrects e errors and f erasures as long as `2e + f ≤ roots`.
//!
//! The decoder divides by `g` with one table look-up a byte. A remainder equal to the received
//! parity is the fast path: nothing to correct. Otherwise the syndromes come from the remainder
//! (32 bytes instead of 255), then Berlekamp–Massey started from the erasure locator, a search over
//! the positions that were sent (so nothing is ever corrected in the virtual fill), Forney's
//! formula, and a check that the corrections explain every syndrome.
//!
//! References: CCSDS 131.0-B-5 section 4 and annex F (dual basis); R. E. Blahut, *Theory and
//! Practice of Error Control Codes*, chapters 7 and 9.

/// Most roots (parity bytes) that a code may have.
pub const MAX_ROOTS: usize = 32;

/// Field polynomial of CCSDS: x^8 + x^7 + x^2 + x + 1.
pub const FIELD_CCSDS: u16 = 0x187;

/// Field polynomial of most other codes: x^8 + x^4 + x^3 + x^2 + 1.
pub const FIELD_11D: u16 = 0x11D;

/// How bytes stand for field elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Basis {
    /// Bit i of a byte is the coefficient of α^i.
    Conventional,
    /// Berlekamp's dual basis of CCSDS 131.0-B annex F: bit 7 - i is Tr(u·α^(117 i)).
    Dual,
}

/// The word is further from every codeword than the code corrects, or is no word of this code (its
/// length, or an erasure outside of it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("uncorrectable Reed–Solomon codeword")]
pub struct Uncorrectable;

/// The values of a word, as a polynomial, at the roots of a code: all zero if it is a codeword. They
/// are linear: the syndromes of a sum are the sum of the syndromes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Syndromes([u8; MAX_ROOTS]);

impl Syndromes {
    /// Whether the word is a codeword.
    pub fn is_zero(&self) -> bool {
        self.0 == [0; MAX_ROOTS]
    }

    /// Those of the sum of both words.
    #[inline]
    pub fn add(&mut self, other: &Syndromes) {
        for (s, o) in self.0.iter_mut().zip(&other.0) {
            *s ^= o;
        }
    }
}

/// Bytes to be changed in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Errata {
    bytes: [(u8, u8); MAX_ROOTS],
    count: usize,
}

impl Errata {
    /// How many bytes.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Index of each byte, and what is added to it (never 0).
    pub fn iter(&self) -> impl Iterator<Item = (usize, u8)> + '_ {
        self.bytes[..self.count].iter().map(|&(index, difference)| (usize::from(index), difference))
    }
}

/// Rows of the matrix of CCSDS 131.0-B annex F: image of u7 … u0 in (z0 … z7), z0 first.
const DUAL_ROWS: [u8; 8] = [0x8D, 0xEF, 0xEC, 0x86, 0xFA, 0x99, 0xAF, 0x7B];

/// A Reed–Solomon code. Build it as a `static`: the tables are made by the compiler.
pub struct ReedSolomon {
    /// α^i for i = 0 … 509.
    exp: [u8; 512],
    /// Logarithm to base α; entry 0 is not used.
    log: [u8; 256],
    /// f·g(x) without its leading coefficient, left-aligned big-endian in 256 bits.
    rows: [[u64; 4]; 256],
    /// Conventional → dual and dual → conventional.
    to_dual: [u8; 256],
    from_dual: [u8; 256],
    /// For each k of [`WAVE_TERMS`] and each residue r of the logarithms modulo g = gcd(k, 255), the
    /// values α^(r - step·k·i), i = 0 … 509: what a term of the locator is from byte to byte.
    waves: [[u8; WAVE_LENGTH]; WAVES],
    /// For each k, its first row of `waves`, and for each logarithm where in the row it begins.
    wave_rows: [usize; WAVE_TERMS + 1],
    wave_starts: [[u8; 256]; WAVE_TERMS + 1],
    first_root: usize,
    step: usize,
    roots: usize,
    basis: Basis,
}

/// Terms of the locator that are evaluated at all bytes at once.
const WAVE_TERMS: usize = 16;
/// ∑ gcd(k, 255) for k = 1 … 16.
const WAVES: usize = 46;
const WAVE_LENGTH: usize = 512;

const fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// CCSDS (255,223), E = 16, conventional basis.
pub static CCSDS_E16: ReedSolomon = ReedSolomon::ccsds(16, Basis::Conventional);
/// CCSDS (255,223), E = 16, dual basis.
pub static CCSDS_E16_DUAL: ReedSolomon = ReedSolomon::ccsds(16, Basis::Dual);
/// CCSDS (255,239), E = 8, conventional basis.
pub static CCSDS_E8: ReedSolomon = ReedSolomon::ccsds(8, Basis::Conventional);
/// CCSDS (255,239), E = 8, dual basis.
pub static CCSDS_E8_DUAL: ReedSolomon = ReedSolomon::ccsds(8, Basis::Dual);

const ORDER: usize = 255;

impl ReedSolomon {
    /// The CCSDS code that corrects `e` errors (CCSDS 131.0-B, 4.3.4): field 0x187, roots
    /// α^(11 j), j = 128 - e … 127 + e.
    ///
    /// # Panics
    /// If `e` is 0 or above 16 (at compile time in a `static`).
    pub const fn ccsds(e: usize, basis: Basis) -> Self {
        assert!(e >= 1 && e <= MAX_ROOTS / 2);
        Self::new(FIELD_CCSDS, 128 - e, 11, 2 * e, basis)
    }

    /// The code with `roots` roots α^(step·(first_root + j)) in the field of `polynomial`.
    ///
    /// # Panics
    /// If `roots` is 0 or above [`MAX_ROOTS`], if the polynomial is not primitive of degree 8, or
    /// if α^step is not primitive (at compile time in a `static`).
    pub const fn new(
        polynomial: u16,
        first_root: usize,
        step: usize,
        roots: usize,
        basis: Basis,
    ) -> Self {
        assert!(roots >= 1 && roots <= MAX_ROOTS);
        assert!(polynomial & 0x1FF == polynomial && polynomial & 0x100 != 0);
        assert!(!step.is_multiple_of(3) && !step.is_multiple_of(5) && !step.is_multiple_of(17));
        let mut exp = [0u8; 512];
        let mut log = [0u8; 256];
        let mut x: u16 = 1;
        let mut i = 0;
        while i < ORDER {
            assert!(i == 0 || x != 1, "the polynomial is not primitive");
            exp[i] = x as u8;
            exp[i + ORDER] = x as u8;
            log[x as usize] = i as u8;
            x <<= 1;
            if x & 0x100 != 0 {
                x ^= polynomial;
            }
            i += 1;
        }
        // g(x), lowest coefficient first.
        let mut g = [0u8; MAX_ROOTS + 1];
        g[0] = 1;
        let mut degree = 0;
        while degree < roots {
            let root = step * (first_root + degree) % ORDER;
            let mut k = degree + 1;
            while k > 0 {
                let scaled = if g[k] == 0 { 0 } else { exp[log[g[k] as usize] as usize + root] };
                g[k] = g[k - 1] ^ scaled;
                k -= 1;
            }
            g[0] = if g[0] == 0 { 0 } else { exp[log[g[0] as usize] as usize + root] };
            degree += 1;
        }
        let mut rows = [[0u64; 4]; 256];
        let mut f = 1;
        while f < 256 {
            let mut k = 0;
            while k < roots {
                let c = g[roots - 1 - k] as usize;
                if c != 0 {
                    let product = exp[log[f] as usize + log[c] as usize] as u64;
                    rows[f][k / 8] |= product << (56 - 8 * (k % 8));
                }
                k += 1;
            }
            f += 1;
        }
        let mut to_dual = [0u8; 256];
        let mut from_dual = [0u8; 256];
        let mut u = 0;
        while u < 256 {
            let mut k = 0;
            while k < 8 {
                if u >> k & 1 != 0 {
                    to_dual[u] ^= DUAL_ROWS[7 - k];
                }
                k += 1;
            }
            from_dual[to_dual[u] as usize] = u as u8;
            u += 1;
        }
        let mut waves = [[0u8; WAVE_LENGTH]; WAVES];
        let mut wave_rows = [0usize; WAVE_TERMS + 1];
        let mut wave_starts = [[0u8; 256]; WAVE_TERMS + 1];
        let mut k = 1;
        let mut row = 0;
        while k <= WAVE_TERMS {
            wave_rows[k] = row;
            let g = gcd(k, ORDER);
            let fall = ORDER - step * k % ORDER;
            let mut residue = 0;
            while residue < g {
                let mut log = residue;
                let mut i = 0;
                while i < WAVE_LENGTH {
                    waves[row][i] = exp[log];
                    if i < ORDER / g {
                        wave_starts[k][log] = i as u8;
                    }
                    log = (log + fall) % ORDER;
                    i += 1;
                }
                row += 1;
                residue += 1;
            }
            k += 1;
        }
        assert!(row == WAVES);
        Self {
            exp,
            log,
            rows,
            to_dual,
            from_dual,
            waves,
            wave_rows,
            wave_starts,
            first_root,
            step,
            roots,
            basis,
        }
    }

    /// Parity bytes of a codeword.
    pub const fn parity_bytes(&self) -> usize {
        self.roots
    }

    /// Writes the parity of `data` (1 to 255 - roots bytes) to `parity` (as many bytes as the code
    /// has roots; a shorter slice takes the first of them, more are left alone).
    pub fn encode(&self, data: &[u8], parity: &mut [u8]) {
        let remainder = self.remainder(data);
        for (k, p) in parity.iter_mut().take(self.roots).enumerate() {
            let byte = (remainder[k / 8] >> (56 - 8 * (k % 8))) as u8;
            *p = match self.basis {
                Basis::Conventional => byte,
                Basis::Dual => self.to_dual[byte as usize],
            };
        }
    }

    /// Corrects `codeword` (data, then parity; roots + 1 to 255 bytes) in place. `erasures` are
    /// indices of bytes known to be unreliable, in any order. Returns how many bytes were changed.
    ///
    /// The more erasures, the less a success proves: with f of them a random word is accepted with
    /// a probability of about 1/e! where e = (roots - f)/2, and always if f = roots.
    ///
    /// # Errors
    /// [`Uncorrectable`]; the codeword is then unchanged.
    pub fn decode(&self, codeword: &mut [u8], erasures: &[usize]) -> Result<usize, Uncorrectable> {
        let syndromes = self.syndromes(codeword)?;
        let errata = self.solve(&syndromes, codeword.len(), erasures)?;
        for (index, difference) in errata.iter() {
            codeword[index] ^= difference;
        }
        Ok(errata.count())
    }

    /// The syndromes of a word (data, then parity; roots + 1 to 255 bytes).
    ///
    /// # Errors
    /// [`Uncorrectable`] if it has another length.
    pub fn syndromes(&self, word: &[u8]) -> Result<Syndromes, Uncorrectable> {
        let n = word.len();
        if n <= self.roots || n > ORDER {
            return Err(Uncorrectable);
        }
        let (data, parity) = word.split_at(n - self.roots);
        let remainder = self.remainder(data);
        let mut difference = [0u8; MAX_ROOTS];
        let mut any = 0;
        for (k, d) in difference.iter_mut().take(self.roots).enumerate() {
            *d = (remainder[k / 8] >> (56 - 8 * (k % 8))) as u8 ^ self.conventional(parity[k]);
            any |= *d;
        }
        if any == 0 {
            return Ok(Syndromes::default());
        }
        // S_j = d(α^(step·(first_root + j))), d being the difference of the parities.
        let mut syndromes = [0u8; MAX_ROOTS];
        for (j, s) in syndromes.iter_mut().take(self.roots).enumerate() {
            let root = self.step * (self.first_root + j) % ORDER;
            *s = difference[..self.roots].iter().fold(0, |sum, &d| self.mul_exp(sum, root) ^ d);
        }
        Ok(Syndromes(syndromes))
    }

    /// The syndromes of a word of `n` bytes that is 0 but for the byte at `index`, which is
    /// `difference`: what changing a byte adds to a word's syndromes.
    pub fn byte_syndromes(&self, n: usize, index: usize, difference: u8) -> Syndromes {
        let mut syndromes = [0u8; MAX_ROOTS];
        if index < n && n <= ORDER {
            let x = self.position(n, index);
            let mut term =
                self.mul_exp(self.conventional(difference), x * (self.first_root % ORDER) % ORDER);
            for s in syndromes.iter_mut().take(self.roots) {
                *s = term;
                term = self.mul_exp(term, x);
            }
        }
        Syndromes(syndromes)
    }

    /// What has to be changed in a word of `n` bytes with these syndromes, of which those at the
    /// indices `erasures` are unreliable, so that it becomes a codeword. See
    /// [`decode`](Self::decode).
    ///
    /// # Errors
    /// [`Uncorrectable`].
    pub fn solve(
        &self,
        syndromes: &Syndromes,
        n: usize,
        erasures: &[usize],
    ) -> Result<Errata, Uncorrectable> {
        if n <= self.roots || n > ORDER {
            return Err(Uncorrectable);
        }
        if syndromes.is_zero() {
            return Ok(Errata::default());
        }
        let (locator, degree) = self.locator(&syndromes.0, n, erasures)?;
        self.errata(n, &syndromes.0, &locator, degree)
    }

    fn conventional(&self, byte: u8) -> u8 {
        match self.basis {
            Basis::Conventional => byte,
            Basis::Dual => self.from_dual[byte as usize],
        }
    }

    /// data(x)·x^roots mod g(x), conventional basis, left-aligned.
    fn remainder(&self, data: &[u8]) -> [u64; 4] {
        let mut r = [0u64; 4];
        for &byte in data {
            let feedback = self.conventional(byte) ^ (r[0] >> 56) as u8;
            let row = &self.rows[feedback as usize];
            r = [
                (r[0] << 8 | r[1] >> 56) ^ row[0],
                (r[1] << 8 | r[2] >> 56) ^ row[1],
                (r[2] << 8 | r[3] >> 56) ^ row[2],
                (r[3] << 8) ^ row[3],
            ];
        }
        r
    }

    fn mul(&self, a: u8, b: u8) -> u8 {
        if a == 0 || b == 0 {
            0
        } else {
            self.exp[self.log[a as usize] as usize + self.log[b as usize] as usize]
        }
    }

    /// a·α^e, 0 ≤ e < 255.
    fn mul_exp(&self, a: u8, e: usize) -> u8 {
        if a == 0 { 0 } else { self.exp[self.log[a as usize] as usize + e] }
    }

    /// Logarithm of the locator X of the byte at `index` of a codeword of `n` bytes.
    fn position(&self, n: usize, index: usize) -> usize {
        self.step * (n - 1 - index) % ORDER
    }

    /// Berlekamp–Massey from the erasure locator. Returns the errata locator and its degree.
    fn locator(
        &self,
        syndromes: &[u8; MAX_ROOTS],
        n: usize,
        erasures: &[usize],
    ) -> Result<([u8; MAX_ROOTS + 1], usize), Uncorrectable> {
        let mut lambda = [0u8; MAX_ROOTS + 1];
        lambda[0] = 1;
        let mut erased = [false; ORDER];
        let mut count = 0;
        for &index in erasures {
            if index >= n {
                return Err(Uncorrectable);
            }
            if std::mem::replace(&mut erased[index], true) {
                continue;
            }
            if count == self.roots {
                return Err(Uncorrectable);
            }
            // Λ ← Λ·(1 - X z)
            let x = self.position(n, index);
            for k in (0..=count).rev() {
                lambda[k + 1] ^= self.mul_exp(lambda[k], x);
            }
            count += 1;
        }
        let mut b = lambda;
        let mut length = count;
        for r in count + 1..=self.roots {
            // Λ has no terms beyond `length`.
            let mut discrepancy = 0;
            for i in 0..r.min(length + 1) {
                discrepancy ^= self.mul(lambda[i], syndromes[r - 1 - i]);
            }
            // b ← z·b, whichever way it goes on.
            let old = b;
            b[0] = 0;
            b[1..].copy_from_slice(&old[..MAX_ROOTS]);
            if discrepancy == 0 {
                continue;
            }
            let mut next = lambda;
            let log_discrepancy = self.log[discrepancy as usize] as usize;
            for (l, &shifted) in next.iter_mut().zip(&b).take(r + 1) {
                *l ^= self.mul_exp(shifted, log_discrepancy);
            }
            if 2 * length < r + count {
                length = r + count - length;
                for (b, &l) in b.iter_mut().zip(&lambda).take(r + 1) {
                    *b = self.mul_exp(l, (ORDER - log_discrepancy) % ORDER);
                }
            }
            lambda = next;
        }
        let degree = lambda.iter().rposition(|&l| l != 0).unwrap_or(0);
        if degree == 0 || degree != length || 2 * degree > self.roots + count {
            return Err(Uncorrectable);
        }
        Ok((lambda, degree))
    }

    /// Finds the places and values of the errata.
    fn errata(
        &self,
        n: usize,
        syndromes: &[u8; MAX_ROOTS],
        locator: &[u8; MAX_ROOTS + 1],
        degree: usize,
    ) -> Result<Errata, Uncorrectable> {
        // Chien search from the last byte (X = 1) to the first one that was sent. Term k is
        // Λ_k·X^-k; its logarithm falls by step·k from byte to byte. The first terms are a table's
        // row each, begun at the right place.
        let mut sums = [locator[0]; WAVE_LENGTH / 2];
        for (k, &l) in locator.iter().enumerate().take(degree + 1).skip(1) {
            if l == 0 {
                continue;
            }
            let mut log = self.log[l as usize] as usize;
            if k <= WAVE_TERMS {
                let row = &self.waves[self.wave_rows[k] + log % gcd(k, ORDER)];
                let first = self.wave_starts[k][log] as usize;
                for (sum, value) in sums.iter_mut().zip(&row[first..first + WAVE_LENGTH / 2]) {
                    *sum ^= value;
                }
            } else {
                let fall = ORDER - self.step * k % ORDER;
                for sum in &mut sums[..n] {
                    *sum ^= self.exp[log];
                    log += fall;
                    if log >= ORDER {
                        log -= ORDER;
                    }
                }
            }
        }
        let mut found = [0usize; MAX_ROOTS];
        let mut places = 0;
        for (back, _) in sums[..n].iter().enumerate().filter(|(_, sum)| **sum == 0) {
            if places == degree {
                break;
            }
            found[places] = n - 1 - back;
            places += 1;
        }
        if places != degree {
            return Err(Uncorrectable);
        }
        // Ω = S·Λ mod z^degree (higher terms vanish for a true locator).
        let mut omega = [0u8; MAX_ROOTS];
        for (i, o) in omega.iter_mut().enumerate().take(degree) {
            for k in 0..=i {
                *o ^= self.mul(syndromes[i - k], locator[k]);
            }
        }
        let mut values = [0u8; MAX_ROOTS];
        let mut left = *syndromes;
        for (value, &index) in values.iter_mut().zip(&found[..degree]) {
            let x = self.position(n, index);
            let inverse = (ORDER - x) % ORDER;
            let numerator =
                omega[..degree].iter().rev().fold(0, |sum, &o| self.mul_exp(sum, inverse) ^ o);
            // Λ'(z) has the odd coefficients of Λ at even powers.
            let square = 2 * inverse % ORDER;
            let top = (degree - 1) | 1;
            let derivative = (1..=top.min(degree))
                .rev()
                .filter(|k| k % 2 == 1)
                .fold(0, |sum, k| self.mul_exp(sum, square) ^ locator[k]);
            if derivative == 0 {
                return Err(Uncorrectable);
            }
            // e = X^(1 - first_root)·Ω(1/X)/Λ'(1/X)
            let power = x * (ORDER + 1 - self.first_root % ORDER) % ORDER;
            let log_derivative = self.log[derivative as usize] as usize;
            *value = self.mul_exp(self.mul_exp(numerator, power), (ORDER - log_derivative) % ORDER);
            let mut term = self.mul_exp(*value, x * (self.first_root % ORDER) % ORDER);
            for s in left.iter_mut().take(self.roots) {
                *s ^= term;
                term = self.mul_exp(term, x);
            }
        }
        if left.iter().any(|&s| s != 0) {
            return Err(Uncorrectable);
        }
        let mut errata = Errata::default();
        for (&value, &index) in values.iter().zip(&found[..degree]) {
            if value != 0 {
                let difference = match self.basis {
                    Basis::Conventional => value,
                    Basis::Dual => self.to_dual[value as usize],
                };
                errata.bytes[errata.count] = (index as u8, difference);
                errata.count += 1;
            }
        }
        Ok(errata)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::coding::randomizer;
    use rand::seq::index::sample;
    use rand::{Rng, RngCore, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    static F11D_32: ReedSolomon = ReedSolomon::new(FIELD_11D, 1, 1, 32, Basis::Conventional);
    static F11D_4: ReedSolomon = ReedSolomon::new(FIELD_11D, 1, 1, 4, Basis::Conventional);
    static SWIATOWID: ReedSolomon = ReedSolomon::new(FIELD_11D, 0, 1, 10, Basis::Conventional);
    static ODD: ReedSolomon = ReedSolomon::new(FIELD_11D, 7, 2, 5, Basis::Conventional);

    fn all() -> [&'static ReedSolomon; 8] {
        [
            &CCSDS_E16,
            &CCSDS_E16_DUAL,
            &CCSDS_E8,
            &CCSDS_E8_DUAL,
            &F11D_32,
            &F11D_4,
            &SWIATOWID,
            &ODD,
        ]
    }

    /// Carry-less product reduced by the field's polynomial: the slow twin of the tables.
    fn slow_mul(polynomial: u16, a: u8, b: u8) -> u8 {
        let mut product = 0u16;
        for i in 0..8 {
            if b >> i & 1 == 1 {
                product ^= (a as u16) << i;
            }
        }
        for i in (8..15).rev() {
            if product >> i & 1 == 1 {
                product ^= polynomial << (i - 8);
            }
        }
        product as u8
    }

    fn slow_power(polynomial: u16, exponent: usize) -> u8 {
        (0..exponent % 255).fold(1, |x, _| slow_mul(polynomial, x, 2))
    }

    fn word(code: &ReedSolomon, n: usize, rng: &mut ChaCha8Rng) -> Vec<u8> {
        let mut word = vec![0; n];
        let k = n - code.parity_bytes();
        rng.fill_bytes(&mut word[..k]);
        let (data, parity) = word.split_at_mut(k);
        code.encode(data, parity);
        word
    }

    #[test]
    fn the_dual_basis_is_the_trace_dual_of_the_powers_of_alpha_117() {
        for u in 0..=255u8 {
            let mut z = 0;
            for i in 0..8 {
                let product = slow_mul(FIELD_CCSDS, u, slow_power(FIELD_CCSDS, 117 * i));
                let mut trace = 0;
                let mut conjugate = product;
                for _ in 0..8 {
                    trace ^= conjugate;
                    conjugate = slow_mul(FIELD_CCSDS, conjugate, conjugate);
                }
                assert!(trace <= 1);
                z |= trace << (7 - i);
            }
            assert_eq!(CCSDS_E16_DUAL.to_dual[u as usize], z);
        }
    }

    #[test]
    fn codewords_vanish_at_the_roots() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for (code, polynomial) in
            [(&CCSDS_E16, FIELD_CCSDS), (&CCSDS_E8, FIELD_CCSDS), (&SWIATOWID, FIELD_11D)]
        {
            let word = word(code, 255, &mut rng);
            for j in 0..code.parity_bytes() {
                let root = slow_power(polynomial, code.step * (code.first_root + j));
                assert_eq!(word.iter().fold(0, |s, &c| slow_mul(polynomial, s, root) ^ c), 0);
            }
        }
    }

    /// The randomizer's bits satisfy h(x), whose roots are among those of the code: its 255 bytes
    /// are a codeword in both bases. Independent of anything encoded here.
    #[test]
    fn the_ccsds_randomizer_sequence_is_a_codeword() {
        for code in [&CCSDS_E16, &CCSDS_E16_DUAL] {
            let mut word = vec![0; 255];
            randomizer::CCSDS.apply_bytes(&mut word, 0);
            assert_eq!(code.decode(&mut word, &[]), Ok(0));
        }
    }

    #[test]
    fn corrects_what_the_code_can() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for code in all() {
            let roots = code.parity_bytes();
            for trial in 0..60 {
                let n = match trial % 3 {
                    0 => 255,
                    1 => roots + 1,
                    _ => rng.random_range(roots + 1..=255),
                };
                let sent = word(code, n, &mut rng);
                let erased = rng.random_range(0..=roots);
                let errors = match trial % 4 {
                    0 => (roots - erased) / 2,
                    _ => rng.random_range(0..=(roots - erased) / 2),
                };
                let places = sample(&mut rng, n, erased + errors).into_vec();
                let mut received = sent.clone();
                let mut changed = 0;
                for (i, &place) in places.iter().enumerate() {
                    // An erased byte may be right by chance; an error is an error.
                    let value = if i < erased { rng.random() } else { rng.random_range(1..=255u8) };
                    received[place] ^= value;
                    changed += usize::from(value != 0);
                }
                let mut erasures = places[..erased].to_vec();
                erasures.extend_from_within(..erased / 2);
                assert_eq!(code.decode(&mut received, &erasures), Ok(changed));
                assert_eq!(received, sent);
            }
        }
    }

    #[test]
    fn leaves_what_it_cannot_correct_alone() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut wrong = 0;
        for _ in 0..300 {
            let sent = word(&CCSDS_E16, 255, &mut rng);
            let mut received = sent.clone();
            for place in sample(&mut rng, 255, 17) {
                received[place] ^= rng.random_range(1..=255u8);
            }
            let before = received.clone();
            match CCSDS_E16.decode(&mut received, &[]) {
                Err(Uncorrectable) => assert_eq!(received, before),
                Ok(_) => wrong += 1,
            }
        }
        assert_eq!(wrong, 0);
    }

    /// Any answer must be a codeword no further away than allowed, whatever came in.
    #[test]
    fn any_answer_is_a_codeword_within_the_radius() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let mut accepted = 0;
        for code in all() {
            for _ in 0..2000 {
                let n = rng.random_range(0..=300);
                let mut received = vec![0; n];
                rng.fill_bytes(&mut received);
                let count = rng.random_range(0..=code.parity_bytes() + 2);
                let erasures: Vec<usize> =
                    (0..count).map(|_| rng.random_range(0..n.max(1) + n / 50)).collect();
                let before = received.clone();
                match code.decode(&mut received, &erasures) {
                    Err(Uncorrectable) => assert_eq!(received, before),
                    Ok(changed) => {
                        accepted += 1;
                        let differing: Vec<usize> =
                            (0..n).filter(|&i| received[i] != before[i]).collect();
                        assert_eq!(changed, differing.len());
                        let mut unique = erasures.clone();
                        unique.sort_unstable();
                        unique.dedup();
                        let errors = differing.iter().filter(|i| !unique.contains(i)).count();
                        assert!(2 * errors + unique.len() <= code.parity_bytes());
                        assert_eq!(code.decode(&mut received, &[]), Ok(0));
                    }
                }
            }
        }
        assert!(accepted > 100);
    }

    #[test]
    fn syndromes_add_up() {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        for code in all() {
            let n = rng.random_range(code.parity_bytes() + 1..=255);
            let mut word = word(code, n, &mut rng);
            let mut syndromes = code.syndromes(&word).unwrap();
            assert!(syndromes.is_zero());
            for _ in 0..20 {
                let (index, difference) = (rng.random_range(0..n), rng.random());
                word[index] ^= difference;
                syndromes.add(&code.byte_syndromes(n, index, difference));
                assert_eq!(syndromes, code.syndromes(&word).unwrap());
            }
            assert!(code.byte_syndromes(n, n, 1).is_zero());
            assert!(code.solve(&syndromes, 256, &[]).is_err());
        }
    }

    #[test]
    fn errors_in_the_virtual_fill_are_refused() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for _ in 0..50 {
            // A full codeword with one nonzero byte in front, sent as if that were fill.
            let mut full = vec![0; 255];
            full[rng.random_range(0..100)] = rng.random_range(1..=255);
            rng.fill_bytes(&mut full[100..223]);
            let (data, parity) = full.split_at_mut(223);
            CCSDS_E16.encode(data, parity);
            let mut short = full[100..].to_vec();
            assert_eq!(CCSDS_E16.decode(&mut short, &[]), Err(Uncorrectable));
        }
    }
}
