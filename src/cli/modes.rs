//! `tulpar modes`: what the registries hold.

use std::io::Write;

use tulpar::{framing, modulation};

use super::Outcome;

/// No arguments.
#[derive(clap::Args)]
pub struct Arguments {}

/// Lists modulations and framings.
pub fn run(_arguments: &Arguments) -> anyhow::Result<Outcome> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "Modulations (--modulation)")?;
    for m in modulation::REGISTRY {
        let aliases = if m.aliases.is_empty() {
            String::new()
        } else {
            format!(" (also {})", m.aliases.join(", "))
        };
        writeln!(out, "  {}{aliases}", m.name)?;
        writeln!(out, "      {}", m.summary)?;
        writeln!(out, "      {}", m.reference)?;
    }
    writeln!(out, "\nFramings (--framing)")?;
    for f in framing::REGISTRY {
        writeln!(out, "  {}", f.name)?;
        writeln!(out, "      {}", f.summary)?;
        writeln!(out, "      {}", f.reference)?;
        for option in f.options {
            writeln!(
                out,
                "      --option {}={} (default {})",
                option.key, option.values, option.default
            )?;
        }
    }
    Ok(Outcome::Done)
}
