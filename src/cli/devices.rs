//! `tulpar devices`: the radios that can be opened, and what one of them can do.

use std::io::Write;

use serde::Serialize;
use tulpar::RequestError;
use tulpar::source::device::{DEVICES, DeviceUri};

use super::Outcome;

/// Which devices, and how to print them.
#[derive(clap::Args)]
pub struct Arguments {
    /// Show what this radio can do: a URI as --device takes it, for example
    /// soapy:driver=rtlsdr. Without it, radios are listed.
    #[arg(value_name = "URI")]
    device: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What is listed of a kind of device.
#[derive(Serialize)]
struct Kind {
    name: &'static str,
    what: &'static str,
    asked_for: &'static str,
    available: bool,
}

/// How to get the radios of SoapySDR.
#[cfg(not(feature = "soapy"))]
const BUILD: &str = "for radios through SoapySDR build with: sudo apt install libsoapysdr-dev \
                     pkg-config soapysdr-module-rtlsdr && cargo build --release --features soapy";

/// Lists devices, or shows one.
pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    match &arguments.device {
        None => list(arguments.json),
        Some(text) => match DeviceUri::parse(text)? {
            DeviceUri::Soapy { arguments: soapy } => show(&soapy, text, arguments.json),
            uri => {
                let right = "open it: tulpar receive --device URI; soapy: devices can be shown";
                Err(RequestError::new(uri.to_string(), "does not say what it can do", right).into())
            }
        },
    }
}

fn kinds() -> Vec<Kind> {
    let soapy = cfg!(feature = "soapy");
    DEVICES
        .iter()
        .map(|kind| Kind {
            name: kind.name,
            what: kind.what,
            asked_for: kind.asked_for,
            available: kind.name != "soapy" || soapy,
        })
        .collect()
}

fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{}", serde_json::to_string(value)?)?;
    Ok(())
}

/// The kinds of devices that need no driver.
fn print_kinds(out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "Always there (--device)")?;
    for kind in kinds().iter().filter(|kind| kind.name != "soapy") {
        writeln!(out, "  {}\n      {}", kind.asked_for, kind.what)?;
    }
    Ok(())
}

#[cfg(not(feature = "soapy"))]
fn list(json: bool) -> anyhow::Result<Outcome> {
    if json {
        let value = serde_json::json!({ "kinds": kinds(), "radios": [], "hints": [BUILD] });
        print_json(&value)?;
        return Ok(Outcome::Done);
    }
    let mut out = std::io::stdout().lock();
    print_kinds(&mut out)?;
    writeln!(out, "\n{BUILD}")?;
    Ok(Outcome::Done)
}

#[cfg(not(feature = "soapy"))]
fn show(_soapy: &str, text: &str, _json: bool) -> anyhow::Result<Outcome> {
    Err(RequestError::new(text, "SoapySDR is not built in", BUILD).into())
}

/// A wrong request is told from a radio that is not there by the exit status.
#[cfg(feature = "soapy")]
fn wrong_or_failed(error: tulpar::source::device::OpenError) -> anyhow::Error {
    match error {
        tulpar::source::device::OpenError::Request(error) => error.into(),
        absent => absent.into(),
    }
}

#[cfg(feature = "soapy")]
fn list(json: bool) -> anyhow::Result<Outcome> {
    use tulpar::source::soapy;

    let radios = soapy::list("").map_err(wrong_or_failed)?;
    let hints = if radios.is_empty() { soapy::hints() } else { Vec::new() };
    if json {
        let value = serde_json::json!({ "kinds": kinds(), "radios": radios, "hints": hints });
        print_json(&value)?;
        return Ok(Outcome::Done);
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "Radios (--device)")?;
    for radio in &radios {
        writeln!(out, "  {}\n      {}", radio.uri, radio.label)?;
        let twins = radios.iter().filter(|other| other.uri == radio.uri).count();
        if twins > 1 {
            writeln!(out, "      {twins} radios have this serial number: give them others")?;
        }
    }
    if radios.is_empty() {
        writeln!(out, "  none found")?;
    }
    for hint in &hints {
        writeln!(out, "      {hint}")?;
    }
    writeln!(out)?;
    print_kinds(&mut out)?;
    Ok(Outcome::Done)
}

#[cfg(feature = "soapy")]
fn show(soapy: &str, _text: &str, json: bool) -> anyhow::Result<Outcome> {
    let probe = tulpar::source::soapy::probe(soapy).map_err(wrong_or_failed)?;
    if json {
        print_json(&probe)?;
        return Ok(Outcome::Done);
    }
    let mega = |ranges: &[(f64, f64)]| {
        let one = |&(least, most): &(f64, f64)| match least == most {
            true => format!("{}", least / 1e6),
            false => format!("{} to {}", least / 1e6, most / 1e6),
        };
        match ranges {
            [] => "not said".to_owned(),
            ranges => ranges.iter().map(one).collect::<Vec<_>>().join(", "),
        }
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", probe.uri)?;
    let mut line = |what: &str, value: &str| match value {
        "" => Ok(()),
        value => writeln!(out, "  {what:<22}{value}"),
    };
    line("driver", &probe.driver)?;
    line("hardware", &probe.hardware)?;
    for (key, value) in &probe.information {
        line(key, value)?;
    }
    line("--clock-source", &probe.clock_sources.join(", "))?;
    line("--time-source", &probe.time_sources.join(", "))?;
    line("clock of its own", if probe.has_time { "yes" } else { "no" })?;
    for (index, channel) in probe.channels.iter().enumerate() {
        line("--channel", &index.to_string())?;
        line("  --rate", &format!("{} MS/s", mega(&channel.sample_rates_hz)))?;
        line("  --frequency", &format!("{} MHz", mega(&channel.frequencies_hz)))?;
        line("  --bandwidth", &format!("{} MHz", mega(&channel.bandwidths_hz)))?;
        line("  --antenna", &channel.antennas.join(", "))?;
        let automatic = if channel.automatic_gain { ", or auto" } else { "" };
        if let Some((least, most)) = channel.gain_db {
            line("  --gain", &format!("{least} to {most} dB{automatic}"))?;
        }
        for (name, least, most) in &channel.gains_db {
            line(&format!("    {name}"), &format!("{least} to {most} dB"))?;
        }
        line("  samples", &channel.formats.join(", "))?;
    }
    if probe.channels.is_empty() {
        line("channels", "none: it does not receive")?;
    }
    Ok(Outcome::Done)
}
