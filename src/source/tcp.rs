//! Samples out of a TCP connection: nothing but samples, in any format of [`super::format`].
//!
//! What SDR++'s network sink, GNU Radio's TCP sink as a server, or `nc -l` sends. TCP loses
//! nothing by itself; a sender that drops what we do not read in time shows as time without samples
//! ([`super::clock`]).

use std::io;
use std::net::TcpStream;

use super::device::{CONNECT, OpenError, Radio, RadioSettings, StreamUri, addresses};
use super::live::{LiveStream, TICK};
use super::{SourceInfo, SourceKind};

/// What this source is, for lists.
pub const KIND: SourceKind = SourceKind {
    name: "tcp",
    what: "a server that sends samples, such as SDR++ or GNU Radio's TCP sink",
    asked_for: "tcp://HOST:PORT?format=FORMAT&rate=HZ[&frequency=HZ]",
};

/// Connects to the server that `uri` names.
///
/// # Errors
/// Nobody answers there, or the settings ask for what a stream does not have.
pub fn open(
    name: &str,
    uri: &StreamUri,
    settings: &RadioSettings,
) -> Result<Box<dyn Radio>, OpenError> {
    let (sample_rate_hz, centre) = uri.rate_and_centre(name, settings)?;
    let socket = connect(name, &uri.host, uri.port)?;
    let cannot = |error: io::Error| OpenError::absent(name, error.to_string());
    socket.set_read_timeout(Some(TICK)).map_err(cannot)?;
    let info = SourceInfo {
        name: name.to_owned(),
        sample_rate_hz,
        complex: uri.format.complex,
        length_samples: None,
        warnings: Vec::new(),
    };
    Ok(Box::new(LiveStream::new(info, socket, uri.format, 0.0, centre, settings)))
}

/// Connects to the first address of `host` that answers.
pub(crate) fn connect(name: &str, host: &str, port: u16) -> Result<TcpStream, OpenError> {
    let mut why = String::new();
    for address in addresses(name, host, port)? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(socket) => return Ok(socket),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                why = format!("nothing listens at {address}: is the server running?");
            }
            Err(error) => why = format!("cannot connect to {address}: {error}"),
        }
    }
    Err(OpenError::absent(name, why))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;
    use std::time::Duration;

    use super::super::SampleBlock;
    use super::super::device::{self, DeviceUri};
    use super::*;

    #[test]
    fn samples_cut_anywhere_are_put_together_and_the_end_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let uri = format!(
            "tcp://{}?format=cs16&rate=2000&frequency=145900000",
            listener.local_addr().unwrap()
        );
        let bytes: Vec<u8> = (0..1001u16).flat_map(u16::to_le_bytes).collect();
        let sent = bytes.clone();
        let sender = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            socket.set_nodelay(true).unwrap();
            for piece in sent.chunks(101) {
                socket.write_all(piece).unwrap();
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let uri = DeviceUri::parse(&uri).unwrap();
        let mut radio = device::open(&uri, &RadioSettings::default()).unwrap();
        let mut block = SampleBlock::default();
        let (mut samples, mut anchors) = (Vec::new(), Vec::new());
        let error = loop {
            match radio.read(&mut block, 64) {
                Ok(more) => assert!(more && !block.samples.is_empty()),
                Err(error) => break error,
            }
            assert_eq!(block.first_sample, samples.len() as u64);
            anchors.extend(block.anchor);
            samples.extend_from_slice(&block.samples);
        };
        sender.join().unwrap();
        assert_eq!(error.cause.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(samples.len(), 500);
        for (k, z) in samples.iter().enumerate() {
            assert_eq!((z.re * 32_768.0, z.im * 32_768.0), (2.0 * k as f32, 2.0 * k as f32 + 1.0));
        }
        assert!(anchors.iter().all(|a| a.centre_frequency_hz == Some(145.9e6) && a.time.is_some()));
        let error = device::open(&uri, &RadioSettings::default()).err().unwrap();
        assert!(error.to_string().contains("is the server running?"), "{error}");
    }
}
