//! Cyclic redundancy checks of 1 to 32 bits, by table.
//!
//! A [`Crc`] is given by the parameters of the Rocksoft model: width, polynomial without its
//! leading term, initial register, whether input bytes and output are reflected, and what is
//! XORed to the output. The check value of each is the checksum of the nine bytes `123456789`.
//!
//! Reference: R. N. Williams, *A Painless Guide to CRC Error Detection Algorithms* (1993); check
//! values as in G. Cook's *Catalogue of parametrised CRC algorithms*.

/// A CRC with its table. Build it as a `static`: the table is made by the compiler.
pub struct Crc {
    /// Reflected: register in the low bits, shifting right. Otherwise: in the high bits, shifting
    /// left.
    table: [u32; 256],
    width: u32,
    init: u32,
    reflect_in: bool,
    reflect_out: bool,
    xor_out: u32,
}

/// CRC-16/X.25, the FCS of HDLC and AX.25; low byte first on the air. Check 906E.
pub static X25: Crc = Crc::new(16, 0x1021, 0xFFFF, true, true, 0xFFFF);
/// CRC-16/CCITT-FALSE (IBM-3740), the FECF of CCSDS. Check 29B1.
pub static CCITT_FALSE: Crc = Crc::new(16, 0x1021, 0xFFFF, false, false, 0);
/// CRC-16/XMODEM, "CCITT zero". Check 31C3.
pub static XMODEM: Crc = Crc::new(16, 0x1021, 0, false, false, 0);
/// CRC-16/ARC. Check BB3D.
pub static ARC: Crc = Crc::new(16, 0x8005, 0, true, true, 0);
/// CRC-16/CMS, the CRC of TI's CC11xx radios. Check AEE7.
pub static CC11XX: Crc = Crc::new(16, 0x8005, 0xFFFF, false, false, 0);
/// CRC-16/USB. Check B4C8.
pub static USB: Crc = Crc::new(16, 0x8005, 0xFFFF, true, true, 0xFFFF);
/// CRC-32C (Castagnoli, iSCSI), of CSP. Check E3069283.
pub static CRC_32C: Crc = Crc::new(32, 0x1EDC_6F41, 0xFFFF_FFFF, true, true, 0xFFFF_FFFF);

impl Crc {
    /// The CRC with these parameters; `polynomial` and `init` right-aligned, not reflected.
    ///
    /// # Panics
    /// If `width` is 0 or above 32 (at compile time in a `static`).
    pub const fn new(
        width: u32,
        polynomial: u32,
        init: u32,
        reflect_in: bool,
        reflect_out: bool,
        xor_out: u32,
    ) -> Self {
        assert!(width >= 1 && width <= 32);
        let aligned = polynomial << (32 - width);
        let reflected = aligned.reverse_bits();
        let mut table = [0u32; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut register = if reflect_in { byte as u32 } else { (byte as u32) << 24 };
            let mut bit = 0;
            while bit < 8 {
                register = if reflect_in {
                    (register >> 1) ^ if register & 1 != 0 { reflected } else { 0 }
                } else {
                    (register << 1) ^ if register >> 31 != 0 { aligned } else { 0 }
                };
                bit += 1;
            }
            table[byte] = register;
            byte += 1;
        }
        let init = init << (32 - width);
        let init = if reflect_in { init.reverse_bits() } else { init };
        Self { table, width, init, reflect_in, reflect_out, xor_out }
    }

    /// Bits of the checksum.
    pub const fn width_bits(&self) -> u32 {
        self.width
    }

    /// The register before the first byte.
    pub const fn start(&self) -> u32 {
        self.init
    }

    /// The register after one more byte.
    #[inline]
    pub const fn update_byte(&self, register: u32, byte: u8) -> u32 {
        if self.reflect_in {
            (register >> 8) ^ self.table[((register ^ byte as u32) & 0xFF) as usize]
        } else {
            (register << 8) ^ self.table[(register >> 24 ^ byte as u32) as usize]
        }
    }

    /// The register after more bytes.
    pub fn update(&self, register: u32, bytes: &[u8]) -> u32 {
        bytes.iter().fold(register, |register, &byte| self.update_byte(register, byte))
    }

    /// The checksum that a register stands for, right-aligned.
    pub const fn finish(&self, register: u32) -> u32 {
        // Left-aligned, highest power first.
        let high = if self.reflect_in { register.reverse_bits() } else { register };
        let out = if self.reflect_out { high.reverse_bits() } else { high >> (32 - self.width) };
        out ^ self.xor_out
    }

    /// What turning one bit of a block adds to checksum ⊕ field, for each bit of the block, most
    /// significant of a byte first: `bytes` bytes, the last of them the checksum's field, its most
    /// significant byte first (widths of whole bytes).
    pub fn bit_syndromes(&self, bytes: usize) -> Vec<u32> {
        let field = (self.width / 8) as usize;
        let mut syndromes = vec![0; 8 * bytes];
        for i in 0..8 {
            let mut register = self.update_byte(0, 0x80 >> i);
            for (place, syndrome) in syndromes.iter_mut().skip(i).step_by(8).enumerate() {
                if place + field >= bytes {
                    *syndrome = 0x80 >> i << (8 * (bytes - 1 - place));
                }
            }
            for place in (0..bytes.saturating_sub(field)).rev() {
                syndromes[8 * place + i] = self.finish(register) ^ self.xor_out;
                register = self.update_byte(register, 0);
            }
        }
        syndromes
    }

    /// The checksum of `bytes`, right-aligned.
    pub fn checksum(&self, bytes: &[u8]) -> u32 {
        self.finish(self.update(self.start(), bytes))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use rand::{Rng, RngCore, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// One bit at a time, straight from the model.
    fn slow(
        (width, polynomial, init, reflect_in, reflect_out, xor_out): (
            u32,
            u32,
            u32,
            bool,
            bool,
            u32,
        ),
        bytes: &[u8],
    ) -> u32 {
        let mask = u32::MAX >> (32 - width);
        let mut register = init;
        for byte in bytes {
            for i in 0..8 {
                let bit = if reflect_in { byte >> i & 1 } else { byte >> (7 - i) & 1 };
                let top = register >> (width - 1) & 1;
                register = (register << 1) & mask;
                if top != u32::from(bit) {
                    register ^= polynomial;
                }
            }
        }
        if reflect_out {
            register = register.reverse_bits() >> (32 - width);
        }
        register ^ xor_out
    }

    #[test]
    fn check_values() {
        let checks = [
            (&X25, 0x906E),
            (&CCITT_FALSE, 0x29B1),
            (&XMODEM, 0x31C3),
            (&ARC, 0xBB3D),
            (&CC11XX, 0xAEE7),
            (&USB, 0xB4C8),
            (&CRC_32C, 0xE306_9283),
        ];
        for (crc, check) in checks {
            assert_eq!(crc.checksum(b"123456789"), check);
        }
    }

    #[test]
    fn the_table_agrees_with_the_bitwise_model() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for width in 1..=32 {
            for _ in 0..20 {
                let mask = u32::MAX >> (32 - width);
                let parameters = (
                    width,
                    rng.random::<u32>() & mask,
                    rng.random::<u32>() & mask,
                    rng.random(),
                    rng.random(),
                    rng.random::<u32>() & mask,
                );
                let (w, p, i, ri, ro, x) = parameters;
                let crc = Crc::new(w, p, i, ri, ro, x);
                let mut bytes = vec![0; rng.random_range(0..40)];
                rng.fill_bytes(&mut bytes);
                assert_eq!(crc.checksum(&bytes), slow(parameters, &bytes));
                let cut = rng.random_range(0..=bytes.len());
                let register = crc.update(crc.start(), &bytes[..cut]);
                assert_eq!(crc.finish(crc.update(register, &bytes[cut..])), crc.checksum(&bytes));
            }
        }
    }

    #[test]
    fn bit_syndromes_are_what_a_turned_bit_adds() {
        for crc in [&CCITT_FALSE, &X25, &CRC_32C, &CC11XX] {
            let field = crc.width_bits() as usize / 8;
            let bytes: Vec<u8> = (0..20).map(|i: u8| i.wrapping_mul(37) ^ 5).collect();
            let value = |bytes: &[u8]| {
                let (data, field) = bytes.split_at(bytes.len() - field);
                crc.checksum(data) ^ field.iter().fold(0, |v, &b| v << 8 | u32::from(b))
            };
            for (bit, syndrome) in crc.bit_syndromes(20).into_iter().enumerate() {
                let mut turned = bytes.clone();
                turned[bit / 8] ^= 0x80 >> (bit % 8);
                assert_eq!(value(&turned) ^ value(&bytes), syndrome, "{bit}");
            }
            assert!(crc.bit_syndromes(0).is_empty());
            assert_eq!(crc.bit_syndromes(field).len(), 8 * field);
        }
    }
}
