//! One file per subcommand: arguments, calls, and what is printed.

mod decode;
mod demo;
mod devices;
mod doppler;
mod fetch;
mod heard;
mod identify;
mod log;
mod modes;
mod numbers;
mod output;
mod passes;
mod receive;
mod reception;
mod record;
mod recording;
mod replay;
mod satellites;
mod simulate;
mod sky;
mod station;
mod status_line;
mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tulpar::RequestError;

/// Ran to the end, also with no frame.
const EXIT_OK: u8 = 0;
/// Failed while running.
const EXIT_FAILED: u8 = 1;
/// The request was wrong.
const EXIT_REQUEST: u8 = 2;

/// Software-defined ground modem for CubeSat downlinks: samples in, checked frames out.
#[derive(Parser)]
#[command(name = "tulpar", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    log: log::LogArguments,
}

#[derive(Subcommand)]
enum Command {
    /// Transmit a short simulated pass and receive it: no file and no radio needed.
    Demo(demo::Arguments),
    /// Decode a recording: WAV, SigMF, raw samples, or standard input.
    Replay(replay::Arguments),
    /// Tell whose signal is in a recording, by its Doppler shift.
    Identify(identify::Arguments),
    /// Receive live from a radio, or from a program that sends samples.
    Receive(receive::Arguments),
    /// Receive a station's satellites unattended, pass after pass.
    Station(station::Arguments),
    /// Write a SigMF recording of a simulated downlink, and the frames in it.
    Simulate(simulate::Arguments),
    /// Predict passes and Doppler of satellites over a station.
    Passes(passes::Arguments),
    /// List the radios that can be opened, or show what one can do.
    Devices(devices::Arguments),
    /// List the modulations and framings, their options and the standards they follow.
    Modes(modes::Arguments),
    /// List the satellites of the catalogue, or show one entry.
    Satellites(satellites::Arguments),
}

/// How a command that did not fail in itself ended.
enum Outcome {
    /// Everything asked for was done.
    Done,
    /// Something failed on the way; the user has been told.
    Failed,
}

/// Parses the command line, runs the command, and says how it ended.
pub fn main() -> ExitCode {
    // Panics are contained where they happen and reported as errors; nobody reads a backtrace.
    std::panic::set_hook(Box::new(|info| tracing::debug!("{info}")));

    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = log::start(&log::LogArguments::default());
            return usage(&error);
        }
    };
    if let Err(error) = log::start(&arguments.log) {
        tracing::error!("{error}");
        return ExitCode::from(EXIT_REQUEST);
    }
    let outcome = catch_unwind(AssertUnwindSafe(|| match arguments.command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Identify(arguments) => identify::run(&arguments),
        Command::Receive(arguments) => receive::run(&arguments),
        Command::Station(arguments) => station::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Passes(arguments) => passes::run(&arguments),
        Command::Devices(arguments) => devices::run(&arguments),
        Command::Modes(arguments) => modes::run(&arguments),
        Command::Satellites(arguments) => satellites::run(&arguments),
    }));
    log::leave();
    match outcome {
        Ok(Ok(Outcome::Done)) => ExitCode::from(EXIT_OK),
        Ok(Ok(Outcome::Failed)) => ExitCode::from(EXIT_FAILED),
        Ok(Err(error)) => {
            // `tulpar … | head` closes our output: that is its way to say that it has enough.
            if error.downcast_ref::<std::io::Error>().is_some_and(is_broken_pipe) {
                return ExitCode::from(EXIT_OK);
            }
            tracing::error!("{error:#}");
            let request = error.downcast_ref::<RequestError>().is_some();
            ExitCode::from(if request { EXIT_REQUEST } else { EXIT_FAILED })
        }
        Err(_) => {
            tracing::error!("internal error; run again with --log debug and report what it says");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

/// Says one line on standard error.
fn complain(text: &str) {
    tracing::warn!("{text}");
}

fn is_broken_pipe(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::BrokenPipe
}

/// Help and version go to standard output; a wrong command line is said in one line.
fn usage(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind;
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            let asked = error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
            ExitCode::from(if asked { EXIT_OK } else { EXIT_REQUEST })
        }
        _ => {
            let text = error.to_string();
            let said: Vec<&str> = text
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
                .collect();
            let said = said.join(" ");
            let said = said.trim_start_matches("error: ").trim_end_matches('.');
            tracing::error!("{said}; see --help");
            ExitCode::from(EXIT_REQUEST)
        }
    }
}
