//! Where the server listens: `rigctl[:ADDRESS]`.

use std::fmt;

use crate::error::RequestError;

/// Where trackers look for a radio unless told otherwise.
pub const DEFAULT_PORT: u16 = 4532;

/// Where to listen: `HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RigAddress {
    /// A name or an IP address (IPv6 without brackets).
    pub host: String,
    /// TCP port; 0 lets the system choose.
    pub port: u16,
}

impl Default for RigAddress {
    fn default() -> Self {
        Self { host: "127.0.0.1".to_owned(), port: DEFAULT_PORT }
    }
}

impl fmt::Display for RigAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl RigAddress {
    /// Reads `rigctl`, `rigctl:PORT`, `rigctl:HOST`, `rigctl:HOST:PORT` or `rigctl:[IPV6]:PORT`.
    /// Without a host it is this computer only.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, RequestError> {
        let wrong = |wrong: String| {
            RequestError::new(
                format!("--doppler {text}"),
                wrong,
                "write rigctl, rigctl:PORT, rigctl:HOST:PORT or rigctl:[IPV6]:PORT",
            )
        };
        let rest = match text.strip_prefix("rigctl") {
            Some("") => return Ok(Self::default()),
            Some(rest) => rest.strip_prefix(':'),
            None => None,
        };
        let Some(rest) = rest else {
            return Err(wrong("does not begin with rigctl".to_owned()));
        };
        let port = |word: &str| match word.parse::<u16>() {
            Ok(port) if port > 0 && word.bytes().all(|b| b.is_ascii_digit()) => Ok(port),
            _ => Err(wrong(format!("\"{word}\" is no port from 1 to 65535"))),
        };
        let host = |word: &str| {
            let usual = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
            if word.is_empty() {
                Err(wrong("the host is empty".to_owned()))
            } else if !word.chars().all(usual) {
                Err(wrong(format!("\"{word}\" is no host")))
            } else {
                Ok(word.to_owned())
            }
        };
        if let Some(inner) = rest.strip_prefix('[') {
            let Some((address, after)) = inner.split_once(']') else {
                return Err(wrong("the bracket is not closed".to_owned()));
            };
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(wrong(format!("\"{address}\" is no IPv6 address")));
            }
            let port = match after.strip_prefix(':') {
                Some(word) => port(word)?,
                None if after.is_empty() => DEFAULT_PORT,
                None => return Err(wrong(format!("\"{after}\" after the bracket is no port"))),
            };
            return Ok(Self { host: address.to_owned(), port });
        }
        match rest.split_once(':') {
            Some((_, second)) if second.contains(':') => {
                Err(wrong("more than one colon: an IPv6 address is put in brackets".to_owned()))
            }
            Some((first, second)) => Ok(Self { host: host(first)?, port: port(second)? }),
            None if rest.bytes().all(|b| b.is_ascii_digit()) => {
                Ok(Self { port: port(rest)?, ..Self::default() })
            }
            None => Ok(Self { host: host(rest)?, port: DEFAULT_PORT }),
        }
    }
}
