//! Bits ↔ bytes, in both bit orders, and hard decisions.

/// Hard decision of a soft symbol: 1 if it is negative; 0, and NaN, count as bit 0.
#[inline]
pub fn hard(llr: f32) -> u8 {
    u8::from(llr < 0.0)
}

/// Byte of up to eight bits, the first being the most significant. Fewer bits leave the low bits 0.
#[inline]
fn byte_msb_first(bits: &[u8]) -> u8 {
    bits.iter().enumerate().fold(0, |byte, (i, bit)| byte | (bit & 1) << (7 - i % 8))
}

/// Appends `bits` to `bytes`, the first bit of a byte being the most significant. An incomplete
/// last byte is filled with zeros.
pub fn pack_msb_first(bits: &[u8], bytes: &mut Vec<u8>) {
    bytes.extend(bits.chunks(8).map(byte_msb_first));
}

/// Appends `bits` to `bytes`, the first bit of a byte being the least significant. An incomplete
/// last byte is filled with zeros.
pub fn pack_lsb_first(bits: &[u8], bytes: &mut Vec<u8>) {
    bytes.extend(bits.chunks(8).map(|chunk| byte_msb_first(chunk).reverse_bits()));
}

/// Appends the bits of `bytes`, most significant first.
pub fn unpack_msb_first(bytes: &[u8], bits: &mut Vec<u8>) {
    bits.extend(bytes.iter().flat_map(|byte| (0..8).map(move |i| byte >> (7 - i) & 1)));
}

/// Appends the hard decisions of `llrs` as bytes, most significant bit first. An incomplete last
/// byte is filled with zeros.
pub fn pack_llrs_msb_first(llrs: &[f32], bytes: &mut Vec<u8>) {
    bytes.extend(llrs.chunks(8).map(|chunk| {
        chunk.iter().enumerate().fold(0, |byte, (i, &llr)| byte | hard(llr) << (7 - i % 8))
    }));
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn both_orders_round_trip() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut bits = Vec::new();
        unpack_msb_first(&bytes, &mut bits);
        assert_eq!(bits[8..16], [0, 0, 0, 0, 0, 0, 0, 1]);
        let mut back = Vec::new();
        pack_msb_first(&bits, &mut back);
        assert_eq!(back, bytes);
        let llrs: Vec<f32> = bits.iter().map(|&b| 1.0 - 2.0 * f32::from(b)).collect();
        back.clear();
        pack_llrs_msb_first(&llrs, &mut back);
        assert_eq!(back, bytes);
        back.clear();
        pack_lsb_first(&bits, &mut back);
        assert!(back.iter().zip(&bytes).all(|(a, b)| *a == b.reverse_bits()));
    }

    #[test]
    fn incomplete_bytes_are_filled_with_zeros() {
        let mut bytes = Vec::new();
        pack_msb_first(&[1, 0, 1], &mut bytes);
        pack_lsb_first(&[1, 0, 1], &mut bytes);
        pack_llrs_msb_first(&[-1.0, f32::NAN, f32::NEG_INFINITY, 0.0], &mut bytes);
        assert_eq!(bytes, [0b1010_0000, 0b101, 0b1010_0000]);
    }
}
