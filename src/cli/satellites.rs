//! `tulpar satellites`: the catalogue.

use std::io::Write;

use tulpar::RequestError;
use tulpar::catalogue::Catalogue;

use super::Outcome;

/// List the catalogue, or show one entry.
#[derive(clap::Args)]
#[command(after_help = "`tulpar satellites show NAME` prints one entry as TOML.")]
pub struct Arguments {
    /// Part of a name, NORAD number, framing or modulation; or `show NAME`
    #[arg(value_name = "QUERY", num_args = 0..=2)]
    query: Vec<String>,
}

/// Lists satellites with their downlinks, or prints an entry.
pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let catalogue = Catalogue::load()?;
    let mut out = std::io::stdout().lock();
    let words: Vec<&str> = arguments.query.iter().map(String::as_str).collect();
    let query = match words[..] {
        ["show"] => {
            return Err(RequestError::new(
                "satellites show",
                "no satellite is named",
                "write tulpar satellites show NAME",
            )
            .into());
        }
        ["show", name] => {
            out.write_all(catalogue.find(name)?.to_toml().as_bytes())?;
            return Ok(Outcome::Done);
        }
        [] => String::new(),
        _ => words.join(" "),
    };
    let found = catalogue.search(&query);
    for satellite in &found {
        let norad = satellite.norad_id.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let mut names = satellite.alternative_names.join(", ");
        if !names.is_empty() {
            names = format!(" ({names})");
        }
        writeln!(out, "{}{names}  {norad}", satellite.name)?;
        for downlink in &satellite.downlinks {
            let support = if downlink.mode().is_ok() { "" } else { "  [not supported yet]" };
            writeln!(
                out,
                "    {:<30} {:>11.4} MHz  {} {} Bd  {}{support}",
                downlink.label,
                downlink.frequency_hz / 1e6,
                downlink.modulation,
                downlink.symbol_rate_bd,
                downlink.framing,
            )?;
        }
    }
    if found.is_empty() {
        // The nearest names are in the error of a look-up.
        catalogue.find(&query)?;
    }
    Ok(Outcome::Done)
}
