//! Frames as UDP datagrams: one each, the frame's bytes and nothing else.
//!
//! The form that Yamcs' `UdpTmFrameLink` and many own programs take. UDP does not say whether
//! anybody listens: a consumer may come and go, and what is sent in the meantime is gone.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};

use super::{Sink, SinkError, SinkKind};
use crate::error::RequestError;
use crate::frame::Frame;

/// What this sink is, for lists.
pub const KIND: SinkKind = SinkKind {
    name: "udp",
    what: "one UDP datagram per frame: its bytes and nothing else",
    asked_for: "--udp HOST:PORT",
};

/// The longest frame that a datagram takes: 65 535 bytes less the IPv4 and UDP headers.
pub const LONGEST_FRAME_BYTES: usize = 65_507;

/// Sends each frame as a datagram.
pub struct UdpSink {
    name: String,
    socket: UdpSocket,
    target: SocketAddr,
}

impl UdpSink {
    /// Sends to `target`, `HOST:PORT` or `[IPv6]:PORT`. A name is resolved here, once; if it has
    /// addresses of both kinds, the first IPv4 address is taken, because that is where most
    /// consumers listen.
    ///
    /// # Errors
    /// `target` is malformed, its name is unknown, or no socket is to be had.
    pub fn open(target: &str) -> Result<Self, RequestError> {
        let wrong = |wrong: String| {
            RequestError::new("--udp", wrong, "HOST:PORT is needed, such as 127.0.0.1:52001")
        };
        let shape = target.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        let Some((_, port)) = shape else {
            return Err(wrong(format!("\"{target}\" has no host and port")));
        };
        if !port.parse::<u16>().is_ok_and(|port| port > 0) {
            return Err(wrong(format!("\"{target}\" has no port from 1 to 65535")));
        }
        let addresses: Vec<SocketAddr> = target
            .to_socket_addrs()
            .map_err(|error| wrong(format!("\"{target}\" cannot be resolved ({error})")))?
            .collect();
        let address = addresses.iter().find(|a| a.is_ipv4()).or(addresses.first());
        let Some(&address) = address else {
            return Err(wrong(format!("\"{target}\" has no address")));
        };
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let no_socket = |error: io::Error| wrong(format!("no socket for \"{target}\" ({error})"));
        let socket = UdpSocket::bind(any).map_err(no_socket)?;
        if address.is_ipv4() {
            socket.set_broadcast(true).map_err(no_socket)?;
        }
        Ok(Self { name: format!("udp {target}"), socket, target: address })
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() > LONGEST_FRAME_BYTES {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                format!("a frame of {} bytes does not fit in a datagram", bytes.len()),
            ));
        }
        // An answer to an earlier datagram (nobody listens) is reported when the next is sent,
        // which then is not: it has to be sent again.
        let stale = |error: &io::Error| {
            matches!(
                error.kind(),
                ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset | ErrorKind::Interrupted
            )
        };
        let sent = match self.socket.send_to(bytes, self.target) {
            Err(error) if stale(&error) => self.socket.send_to(bytes, self.target),
            sent => sent,
        };
        match sent {
            Ok(count) if count < bytes.len() => Err(ErrorKind::WriteZero.into()),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Sink for UdpSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn write(&mut self, frame: &Frame) -> Result<(), SinkError> {
        self.send(&frame.bytes).map_err(|cause| SinkError { name: self.name.clone(), cause })
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::time::Duration;

    use super::super::tests::bare_frame;
    use super::*;

    fn frame(bytes: Vec<u8>) -> Frame {
        Frame { bytes, ..bare_frame() }
    }

    fn receive(at: &str) {
        let Ok(listener) = UdpSocket::bind(at) else {
            eprintln!("skipped: no socket at {at}");
            return;
        };
        listener.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut sink = UdpSink::open(&listener.local_addr().unwrap().to_string()).unwrap();
        let longest = vec![0xA5; LONGEST_FRAME_BYTES];
        let mut buffer = vec![0; 70_000];
        for bytes in [vec![1, 2, 3], Vec::new(), (0..=255).collect(), longest] {
            sink.write(&frame(bytes.clone())).unwrap();
            let count = listener.recv(&mut buffer).unwrap();
            assert_eq!(buffer[..count], bytes);
        }
        sink.flush().unwrap();
    }

    #[test]
    fn a_datagram_is_exactly_the_frame() {
        receive("127.0.0.1:0");
        receive("[::1]:0");
    }

    #[test]
    fn too_long_a_frame_fails_and_the_next_is_sent() {
        let listener = UdpSocket::bind("127.0.0.1:0").unwrap();
        listener.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut sink = UdpSink::open(&listener.local_addr().unwrap().to_string()).unwrap();
        let error = sink.write(&frame(vec![0; LONGEST_FRAME_BYTES + 1])).unwrap_err();
        assert!(error.to_string().contains("65508 bytes"), "{error}");
        sink.write(&frame(vec![7])).unwrap();
        let mut buffer = [0; 10];
        assert_eq!(listener.recv(&mut buffer).unwrap(), 1);
    }

    #[test]
    fn nobody_listening_is_no_failure() {
        let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut sink = UdpSink::open(&closed.to_string()).unwrap();
        for _ in 0..20 {
            sink.write(&frame(vec![1, 2, 3])).unwrap();
        }
    }

    #[test]
    fn malformed_targets_are_refused_by_name() {
        for target in ["", "x", ":", ":1", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "h:65536"] {
            let error = UdpSink::open(target).err().unwrap();
            assert_eq!(error.subject, "--udp");
            assert!(error.wrong.contains(&format!("\"{target}\"")), "{error}");
        }
        // The name is never looked up: it is malformed.
        assert!(UdpSink::open("no such host:1").is_err());
    }
}
