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
