//! Frames to transmit: seeded, and shaped as the framing's users would send them.

use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::framing::Framing;

/// Longest frame made for framings that take any length.
const LONGEST: usize = 255;

/// Two addresses, control and PID of an AX.25 UI frame.
const AX25_HEADER_BYTES: usize = 16;

/// `count` frames for a framing, by its name in the registry: AX.25 UI frames with sensor readings
/// for "AX.25 …" and "OPS-SAT", TM transfer frames for "CCSDS …", random bytes of allowed lengths
/// for all else. Every length is within [`Framing::frame_bytes`].
pub fn for_framing(name: &str, framing: &dyn Framing, count: usize, seed: u64) -> Vec<Vec<u8>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (shortest, longest) = framing.frame_bytes();
    let allowed = |frame: &Vec<u8>| (shortest..=longest).contains(&frame.len());
    (0..count)
        .map(|number| {
            let frame = if name.starts_with("AX.25") {
                ax25_ui("QST", "OTS1", &telemetry_text(number as u32, &mut rng))
            } else if name.starts_with("CCSDS") {
                tm_transfer_frame(longest, 0x2A7, 0, number as u32, &mut rng)
            } else {
                Vec::new()
            };
            if allowed(&frame) { frame } else { random(shortest, longest, &mut rng) }
        })
        .collect()
}

/// `count` frames of exactly `length` bytes, of the same kinds: AX.25 UI frames (17 bytes and more)
/// with random text, TM transfer frames (16 bytes and more), random bytes for all else.
pub fn of_length(name: &str, length: usize, count: usize, seed: u64) -> Vec<Vec<u8>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count)
        .map(|number| {
            if name.starts_with("AX.25") && length > AX25_HEADER_BYTES {
                let text: String = (AX25_HEADER_BYTES..length)
                    .map(|_| char::from(rng.random_range(b' '..=b'~')))
                    .collect();
                ax25_ui("QST", "OTS1", &text)
            } else if name.starts_with("CCSDS") && length >= 16 {
                tm_transfer_frame(length, 0x2A7, 0, number as u32, &mut rng)
            } else {
                let mut frame = vec![0; length];
                rng.fill_bytes(&mut frame);
                frame
            }
        })
        .collect()
}

/// Random bytes of a random length from `shortest` to `longest`, but not much above 255.
pub fn random(shortest: usize, longest: usize, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let longest = longest.min(LONGEST).max(shortest);
    let mut frame = vec![0; rng.random_range(shortest..=longest)];
    rng.fill_bytes(&mut frame);
    frame
}

/// A line of sensor readings, as a CubeSat's beacon might carry.
pub fn telemetry_text(number: u32, rng: &mut ChaCha8Rng) -> String {
    format!(
        "OTS {number:05} CO2={:.1}ppm CH4={:.3}ppm T={:.1}C BAT={:.2}V I={}mA",
        rng.random_range(412.0..428.0),
        rng.random_range(1.85..1.99),
        rng.random_range(-12.0..31.0),
        rng.random_range(7.2..8.4),
        rng.random_range(80..420),
    )
}

/// An AX.25 UI frame without flags and FCS (AX.25 2.2, clauses 3.12, 4.3.3.6): addresses with
/// SSID 0, control 03, PID F0 (no layer 3), `text`. Call signs are cut or filled to six characters.
pub fn ax25_ui(destination: &str, source: &str, text: &str) -> Vec<u8> {
    let mut frame = Vec::with_capacity(16 + text.len());
    for (call, ssid) in [(destination, 0xE0), (source, 0x61)] {
        // Characters are shifted left by one; the last address has its lowest bit set.
        let padded = call.bytes().filter(u8::is_ascii).chain(std::iter::repeat(b' ')).take(6);
        frame.extend(padded.map(|c| c << 1));
        frame.push(ssid);
    }
    frame.extend([0x03, 0xF0]);
    frame.extend(text.bytes());
    frame
}

/// A TM transfer frame (CCSDS 132.0-B-3, clause 4) of `length` bytes with one space packet
/// (CCSDS 133.0-B-2) in it and a frame error control field. Shorter than 16 bytes: empty.
///
/// `spacecraft`: 10 bits; `channel`: virtual channel, 3 bits; `number`: frame count.
pub fn tm_transfer_frame(
    length: usize,
    spacecraft: u16,
    channel: u8,
    number: u32,
    rng: &mut ChaCha8Rng,
) -> Vec<u8> {
    // Primary header 6, packet header 6, at least 2 bytes in it, FECF 2.
    if length < 16 {
        return Vec::new();
    }
    let mut frame = Vec::with_capacity(length);
    // Version 00, spacecraft (10), virtual channel (3), operational control field flag 0.
    frame.extend((((spacecraft & 0x3FF) << 4) | (u16::from(channel & 7) << 1)).to_be_bytes());
    // Master and virtual channel frame counts.
    frame.extend([number as u8, number as u8]);
    // No secondary header, synchronised by octets, segment length 11, first header pointer 0.
    frame.extend([0x18, 0x00]);
    // Space packet: telemetry, APID 42, unsegmented, count, length - 1.
    let content = length - 6 - 2 - 6;
    frame.extend([0x00, 42]);
    frame.extend((0xC000 | (number as u16 & 0x3FFF)).to_be_bytes());
    frame.extend(((content - 1) as u16).to_be_bytes());
    let mut bytes = telemetry_text(number, rng).into_bytes();
    let written = bytes.len().min(content);
    bytes.resize(content, 0);
    rng.fill_bytes(&mut bytes[written..]);
    frame.extend(bytes);
    let check = fecf(&frame);
    frame.extend(check.to_be_bytes());
    frame
}

/// Frame error control field (CCSDS 132.0-B-3, clause 4.1.6): x¹⁶ + x¹² + x⁵ + 1, preset to ones.
pub fn fecf(frame: &[u8]) -> u16 {
    frame.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ax25_frame_reads_back() {
        let frame = ax25_ui("QST", "TA1ABC", "hello");
        assert_eq!(frame.len(), 16 + 5);
        let call = |bytes: &[u8]| bytes.iter().map(|b| char::from(b >> 1)).collect::<String>();
        assert_eq!(call(&frame[..6]), "QST   ");
        assert_eq!(call(&frame[7..13]), "TA1ABC");
        assert_eq!((frame[6] & 1, frame[13] & 1), (0, 1));
        assert_eq!(&frame[14..], b"\x03\xF0hello");
    }

    #[test]
    fn a_transfer_frame_has_its_length_and_check() {
        // CRC-16 with these parameters of "123456789", as in every table of them.
        assert_eq!(fecf(b"123456789"), 0x29B1);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for length in [16, 17, 114, 223, 1115, 1784] {
            let frame = tm_transfer_frame(length, 0x2A7, 3, 258, &mut rng);
            assert_eq!(frame.len(), length);
            assert_eq!(fecf(&frame), 0, "the check over all is 0");
            assert_eq!(frame[..4], [0x2A, 0x76, 2, 2]);
            let packet = usize::from(u16::from_be_bytes([frame[10], frame[11]])) + 7;
            assert_eq!(6 + packet + 2, length);
        }
        assert!(tm_transfer_frame(15, 0, 0, 0, &mut rng).is_empty());
    }
}
