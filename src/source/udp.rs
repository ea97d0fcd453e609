//! Samples in UDP datagrams: nothing but samples, in any format of [`super::format`].
//!
//! GQRX and the programs that follow it send audio as `ri16` at 48 kHz to port 7355, GNU Radio's
//! UDP sink and SatNOGS' `UDP_DUMP` complex samples. There is no sequence number: datagrams that
//! are lost show only as time without samples ([`super::clock`]), and only when 50 ms of them are.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use super::device::{OpenError, Radio, RadioSettings, StreamUri, addresses};
use super::live::{LiveStream, TICK};
use super::{SourceInfo, SourceKind};
use crate::error::RequestError;

/// What this source is, for lists.
pub const KIND: SourceKind = SourceKind {
    name: "udp",
    what: "datagrams of samples, such as those of GQRX (ri16 at 48000) and GNU Radio",
    asked_for: "udp://[HOST]:PORT?format=FORMAT&rate=HZ[&frequency=HZ]",
};

/// What the system is asked to hold for us while we do not read. It may give less.
const SOCKET_BUFFER_BYTES: usize = 8 << 20;

/// Waits for datagrams at the address that `uri` names.
///
/// # Errors
/// The address is in use or not this computer's (yet), its port is reserved, or the settings ask
/// for what a stream does not have.
pub fn open(
    name: &str,
    uri: &StreamUri,
    settings: &RadioSettings,
) -> Result<Box<dyn Radio>, OpenError> {
    let (sample_rate_hz, centre_frequency_hz) = uri.rate_and_centre(name, settings)?;
    let host = if uri.host.is_empty() { "0.0.0.0" } else { &uri.host };
    let mut failure = OpenError::absent(name, "has no address");
    for address in addresses(name, host, uri.port)? {
        match bind(address) {
            Ok(socket) => {
                let info = SourceInfo {
                    name: name.to_owned(),
                    sample_rate_hz,
                    complex: uri.format.complex,
                    length_samples: None,
                    warnings: Vec::new(),
                };
                let centre = centre_frequency_hz;
                let stream = LiveStream::new(info, socket, uri.format, 0.0, centre, settings);
                return Ok(Box::new(stream));
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                let wrong = format!("port {} is reserved", uri.port);
                let right = "choose a port from 1024 on";
                return Err(RequestError::new(name, wrong, right).into());
            }
            Err(error) => {
                failure = OpenError::absent(
                    name,
                    match error.kind() {
                        ErrorKind::AddrInUse => "another program receives there".to_owned(),
                        ErrorKind::AddrNotAvailable => {
                            "is no address of this computer; leave the host away for all of them"
                                .to_owned()
                        }
                        _ => format!("cannot receive there: {error}"),
                    },
                );
            }
        }
    }
    Err(failure)
}

fn bind(address: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // Whatever it grants is better than nothing.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
    socket.bind(&address.into())?;
    let socket = UdpSocket::from(socket);
    socket.set_read_timeout(Some(TICK))?;
    Ok(socket)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    use super::super::SampleBlock;
    use super::super::device::{self, DeviceUri};
    use super::*;

    fn free_port() -> u16 {
        UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    fn listen(port: u16, query: &str, stall: Duration) -> Box<dyn Radio> {
        let uri = DeviceUri::parse(&format!("udp://127.0.0.1:{port}?{query}")).unwrap();
        let settings = RadioSettings { stall: Some(stall), ..RadioSettings::default() };
        device::open(&uri, &settings).unwrap()
    }

    #[test]
    fn audio_as_gqrx_sends_it_arrives_with_its_time_and_losses_are_found() {
        let port = free_port();
        let mut radio = listen(port, "format=ri16&rate=48000", Duration::from_secs(5));
        assert!(!radio.info().complex);
        // 480 samples every 10 ms for 2 s, of which 0.4 s are lost; then a mark.
        let began = jiff::Timestamp::now();
        let sender = std::thread::spawn(move || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let start = Instant::now();
            for k in 1..=200u32 {
                let due = Duration::from_millis(10) * k;
                std::thread::sleep(due.saturating_sub(start.elapsed()));
                if !(80..120).contains(&k) {
                    let value = if k == 200 { 16_384i16 } else { 0 };
                    let bytes: Vec<u8> = (0..480).flat_map(|_| value.to_le_bytes()).collect();
                    socket.send_to(&bytes, ("127.0.0.1", port)).unwrap();
                }
            }
        });
        let mut block = SampleBlock::default();
        let (mut anchor, mut next, mut jumped) = (None, 0, 0);
        loop {
            assert!(radio.read(&mut block, 100_000).unwrap());
            jumped += block.first_sample - next;
            next = block.first_sample + block.samples.len() as u64;
            anchor = block.anchor.or(anchor);
            if block.samples.iter().any(|z| z.re == 0.5) {
                break;
            }
        }
        sender.join().unwrap();
        assert_eq!(jumped, radio.lost_samples());
        assert!((jumped as f64 / 48_000.0 - 0.4).abs() < 0.1, "{jumped}");
        let anchor = anchor.unwrap();
        let end_s = (next - anchor.sample) as f64 / 48_000.0
            + anchor.time.unwrap().duration_since(began).as_secs_f64();
        assert!((end_s - 2.0).abs() < 0.1, "{end_s}");
    }

    #[test]
    fn odd_datagrams_do_not_shift_what_follows() {
        let port = free_port();
        let mut radio = listen(port, "format=cs16&rate=8000", Duration::from_secs(5));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut block = SampleBlock::default();
        let mut seen = Vec::new();
        // Empty; half a sample; a sample and a half; two whole ones.
        for bytes in [&[][..], &[1, 2], &[0, 0x40, 0, 0xC0, 9, 9], &[0, 0x20, 0, 0, 0, 0x20, 0, 0]]
        {
            socket.send_to(bytes, ("127.0.0.1", port)).unwrap();
        }
        while seen.len() < 3 {
            assert!(radio.read(&mut block, 1).unwrap());
            assert_eq!(block.samples.len(), 1);
            seen.push((block.samples[0].re, block.samples[0].im));
        }
        assert_eq!(seen, [(0.5, -0.5), (0.25, 0.0), (0.25, 0.0)]);
        assert_eq!(radio.info().warnings.len(), 1, "{:?}", radio.info().warnings);
        assert_eq!(radio.tune(1e8).unwrap_err().cause.kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn silence_is_an_error_and_can_be_interrupted() {
        let port = free_port();
        let mut radio = listen(port, "format=cf32&rate=8000", Duration::from_millis(100));
        let mut block = SampleBlock::default();
        let error = radio.read(&mut block, 100).unwrap_err();
        assert_eq!(error.cause.kind(), ErrorKind::TimedOut);
        let stop = Arc::new(AtomicBool::new(true));
        radio.stop_with(stop.clone());
        assert!(!radio.read(&mut block, 100).unwrap());
        stop.store(false, Ordering::Relaxed);
        // The port is taken as long as the radio lives.
        let uri = format!("udp://127.0.0.1:{port}?format=cu8&rate=1");
        let uri = DeviceUri::parse(&uri).unwrap();
        let error = device::open(&uri, &RadioSettings::default()).err().unwrap();
        assert!(matches!(error, OpenError::Absent { .. }), "{error}");
        drop(radio);
        assert!(device::open(&uri, &RadioSettings::default()).is_ok());
    }
}
