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
