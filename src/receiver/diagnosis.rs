//! Why no frame comes: what was measured, and what to do about it.
//!
//! ```text
//!  samples ► not clipped ► signal ► at its frequency ► bursts ► sync words ► frames
//!     no        no           no           no             no         no
//! ```
//!
//! The first *no* on the way is the diagnosis; what is farther on was seen, and needs no look at what
//! is before it, but clipping: that spoils everything.

use super::Counts;
use super::surroundings::{Bump, Surroundings};
use crate::dsp::level::Level;
use crate::framing::Reject;

/// From this share of clipped samples on, clipping is what is wrong.
const CLIPPED: f64 = 0.005;
/// A bump is believed that was seen so often.
const BELIEVED_LOOKS: u32 = 2;

/// What was measured over some time, of one downlink.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Evidence {
    /// Samples that came.
    pub samples: u64,
    /// Their level.
    pub level: Level,
    /// What the receiver counted.
    pub counts: Counts,
    /// What was on the air around.
    pub surroundings: Surroundings,
}

/// What a receiver sees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Diagnosis {
    /// Nothing came.
    NoSamples,
    /// What came was nothing but zeros.
    Silence,
    /// The converter is overdriven.
    Clipping {
        /// Share of the samples at full scale, 0 to 1.
        share: f64,
    },
    /// Nothing but noise.
    NoSignal,
    /// Something is beside what is searched.
    OffFrequency {
        /// Where it is against where the downlink was looked for, Hz.
        offset_hz: f64,
        /// How much it is above the noise, dB.
        above_db: f32,
    },
    /// Something is there that is not of this mode, or too weak.
    OtherSignal {
        /// Where it is against where the downlink was looked for, Hz.
        offset_hz: f64,
        /// How much it is above the noise, dB.
        above_db: f32,
    },
    /// Bursts of this modulation, without a sync word.
    BurstsWithoutSync {
        /// How many.
        runs: u64,
    },
    /// Sync words, without a valid frame.
    SyncWithoutFrames {
        /// How many.
        sync_words: u64,
        /// Why most of them were rejected.
        most: Option<Reject>,
    },
    /// Frames, but none beyond doubt.
    DoubtfulFrames {
        /// How many.
        frames: u64,
    },
    /// Frames come.
    Frames,
}

/// Where on the way from samples to frames it ends.
pub fn diagnose(evidence: &Evidence) -> Diagnosis {
    let Evidence { samples, level, counts, surroundings } = evidence;
    let believed = |bump: Option<Bump>| bump.filter(|bump| bump.looks >= BELIEVED_LOOKS);
    let (inside, outside) = (believed(surroundings.inside), believed(surroundings.outside));
    if counts.frames > 0 {
        return Diagnosis::Frames;
    }
    if *samples == 0 {
        return Diagnosis::NoSamples;
    }
    if level.samples > 0 && level.energy == 0.0 {
        return Diagnosis::Silence;
    }
    if level.clipped_share() >= CLIPPED {
        return Diagnosis::Clipping { share: level.clipped_share() };
    }
    if counts.doubtful > 0 {
        return Diagnosis::DoubtfulFrames { frames: counts.doubtful };
    }
    if counts.sync_words > 0 {
        let most = Reject::ALL.into_iter().max_by_key(|why| counts.rejected(*why));
        let most = most.filter(|why| counts.rejected(*why) > 0);
        return Diagnosis::SyncWithoutFrames { sync_words: counts.sync_words, most };
    }
    // Noise, and the foot of a strong signal beside, are taken for a burst now and then.
    let beside = outside.filter(|o| inside.is_none_or(|i| o.above_db > i.above_db));
    if let Some(Bump { offset_hz, above_db, .. }) = beside
        && (counts.runs == 0 || inside.is_none())
    {
        return Diagnosis::OffFrequency { offset_hz, above_db };
    }
    // A threshold of bursts is low: with nothing above the noise in any look they are noise. Where
    // nobody looks (audio), they are all that is known.
    if counts.runs > 0 && (surroundings.inside.is_some() || surroundings.looks == 0) {
        return Diagnosis::BurstsWithoutSync { runs: counts.runs };
    }
    match inside {
        Some(Bump { offset_hz, above_db, .. }) => Diagnosis::OtherSignal { offset_hz, above_db },
        None => Diagnosis::NoSignal,
    }
}

impl Diagnosis {
    /// How far on the way from samples to frames it is; farther is more.
    pub fn progress(&self) -> u8 {
        match self {
            Diagnosis::NoSamples => 0,
            Diagnosis::Silence => 1,
            Diagnosis::Clipping { .. } => 2,
            Diagnosis::NoSignal => 3,
            Diagnosis::OffFrequency { .. } => 4,
            Diagnosis::OtherSignal { .. } => 5,
            Diagnosis::BurstsWithoutSync { .. } => 6,
            Diagnosis::SyncWithoutFrames { .. } => 7,
            Diagnosis::DoubtfulFrames { .. } => 8,
            Diagnosis::Frames => 9,
        }
    }

    /// A word for records and metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Diagnosis::NoSamples => "no-samples",
            Diagnosis::Silence => "silence",
            Diagnosis::Clipping { .. } => "clipping",
            Diagnosis::NoSignal => "no-signal",
            Diagnosis::OffFrequency { .. } => "off-frequency",
            Diagnosis::OtherSignal { .. } => "other-signal",
            Diagnosis::BurstsWithoutSync { .. } => "bursts-without-sync",
            Diagnosis::SyncWithoutFrames { .. } => "sync-without-frames",
            Diagnosis::DoubtfulFrames { .. } => "doubtful-frames",
            Diagnosis::Frames => "frames",
        }
    }

    /// What is seen.
    pub fn seen(&self) -> String {
        let plural = |count: &u64, one: &str, several: &str| match count {
            1 => format!("1 {one} was"),
            _ => format!("{count} {several} were"),
        };
        match self {
            Diagnosis::NoSamples => "no samples come".to_owned(),
            Diagnosis::Silence => "all samples are 0".to_owned(),
            Diagnosis::Clipping { share } => {
                format!("{:.1} % of the samples are at full scale", 100.0 * share)
            }
            Diagnosis::NoSignal => "no signal was found".to_owned(),
            Diagnosis::OffFrequency { offset_hz, above_db } => format!(
                "a signal is {} where the downlink is looked for, {above_db:.0} dB above the noise",
                away(*offset_hz)
            ),
            Diagnosis::OtherSignal { offset_hz, above_db } => format!(
                "something is {} the carrier, {above_db:.0} dB above the noise, but no burst of \
                 this mode",
                away(*offset_hz)
            ),
            Diagnosis::BurstsWithoutSync { runs } => {
                format!("{} found, but no sync word in them", plural(runs, "burst", "bursts"))
            }
            Diagnosis::SyncWithoutFrames { sync_words, most } => {
                let why = match most {
                    None => "",
                    Some(Reject::Length) => ": most with an impossible length",
                    Some(Reject::Header) => ": most with a wrong header",
                    Some(Reject::Check) => ": most failed their check",
                    Some(Reject::Uncorrectable) => ": most could not be corrected",
                };
                let found = plural(sync_words, "sync word", "sync words");
                format!("{found} found, but no valid frame{why}")
            }
            Diagnosis::DoubtfulFrames { frames } => {
                format!("{} found, but none beyond doubt", plural(frames, "frame", "frames"))
            }
            Diagnosis::Frames => "frames come".to_owned(),
        }
    }

    /// What to do. `live`: a radio can be set.
    pub fn advice(&self, live: bool) -> &'static str {
        match (self, live) {
            (Diagnosis::NoSamples, _) => "check that the radio, or the program that sends, runs",
            (Diagnosis::Silence, _) => "unmute the program that sends; check --format",
            (Diagnosis::Clipping { .. }, true) => "lower --gain",
            (Diagnosis::Clipping { .. }, false) => "record with a lower gain",
            (Diagnosis::NoSignal, true) => "check antenna, --gain, and the time of the pass",
            (Diagnosis::NoSignal, false) => "check --frequency, and that the pass is in it",
            (Diagnosis::OffFrequency { .. }, true) => {
                "if it is the satellite: check --ppm, --frequency and the elements, or widen --search"
            }
            (Diagnosis::OffFrequency { .. }, false) => {
                "if it is the satellite: check --frequency and --start, or widen --search"
            }
            (Diagnosis::OtherSignal { .. }, _) => "too weak, or check modulation and symbol rate",
            (Diagnosis::BurstsWithoutSync { .. }, _) => {
                "too weak, or check symbol rate and framing"
            }
            (Diagnosis::SyncWithoutFrames { most, .. }, _) => match most {
                Some(Reject::Length | Reject::Header) => {
                    "check the framing and its options (tulpar modes)"
                }
                _ => "too weak, or check the framing's options (tulpar modes)",
            },
            (Diagnosis::DoubtfulFrames { .. }, _) => "--effort doubtful shows them",
            (Diagnosis::Frames, _) => "nothing",
        }
    }
}

/// `31.0 kHz above`.
fn away(offset_hz: f64) -> String {
    let side = if offset_hz < 0.0 { "below" } else { "above" };
    format!("{:.1} kHz {side}", offset_hz.abs() / 1e3)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn the_first_thing_that_is_wrong_is_said() {
        let noise = Level { samples: 1000, energy: 10.0, clipped: 1 };
        let clipped = Level { clipped: 20, ..noise };
        let bump = |offset_hz: f64, above_db: f32| Some(Bump { offset_hz, above_db, looks: 3 });
        let seen = |inside, outside| Surroundings { looks: 100, inside, outside };
        let counts = |runs, sync_words, check, frames| Counts {
            runs,
            sync_words,
            rejects: [1, 0, check, 0],
            frames,
            ..Counts::default()
        };
        let nothing = counts(0, 0, 0, 0);
        let (here, there) = (bump(2_100.0, 9.0), bump(-31_000.0, 12.0));
        let once = there.map(|bump| Bump { looks: 1, ..bump });
        let table = [
            (0, noise, nothing, seen(None, None), "no-samples"),
            (9, Level { samples: 9, ..Level::default() }, nothing, seen(None, None), "silence"),
            (9, clipped, nothing, seen(here, None), "clipping"),
            (9, clipped, counts(5, 2, 2, 0), seen(here, None), "clipping"),
            (9, clipped, counts(5, 2, 0, 2), seen(here, None), "frames"),
            (9, noise, nothing, seen(None, None), "no-signal"),
            (9, noise, nothing, seen(None, once), "no-signal"),
            (9, noise, nothing, seen(None, there), "off-frequency"),
            (9, noise, nothing, seen(here, there), "off-frequency"),
            (9, noise, counts(1, 0, 0, 0), seen(None, there), "off-frequency"),
            (9, noise, counts(7, 0, 0, 0), seen(here, there), "bursts-without-sync"),
            (9, noise, nothing, seen(there, here), "other-signal"),
            (9, noise, nothing, seen(here, None), "other-signal"),
            (9, noise, counts(7, 0, 0, 0), seen(None, None), "no-signal"),
            (9, noise, counts(7, 0, 0, 0), seen(None, once), "no-signal"),
            (9, noise, counts(7, 0, 0, 0), seen(once, None), "bursts-without-sync"),
            (9, noise, counts(7, 0, 0, 0), Surroundings::default(), "bursts-without-sync"),
            (9, noise, counts(7, 3, 2, 0), seen(here, there), "sync-without-frames"),
            (9, noise, counts(7, 3, 2, 1), seen(None, None), "frames"),
        ];
        for (samples, level, counts, surroundings, word) in table {
            let evidence = Evidence { samples, level, counts, surroundings };
            let found = diagnose(&evidence);
            assert_eq!(found.word(), word, "{evidence:?}");
            for live in [true, false] {
                assert!(!found.advice(live).is_empty() && !found.seen().is_empty());
            }
        }
        let doubtful = Counts { doubtful: 1, sync_words: 1, ..nothing };
        let evidence =
            Evidence { samples: 9, level: noise, counts: doubtful, ..Evidence::default() };
        assert_eq!(diagnose(&evidence).seen(), "1 frame was found, but none beyond doubt");
    }

    #[test]
    fn it_is_said_in_the_words_of_the_field() {
        let off = Diagnosis::OffFrequency { offset_hz: 31_000.0, above_db: 12.0 };
        assert_eq!(
            off.seen(),
            "a signal is 31.0 kHz above where the downlink is looked for, 12 dB above the noise"
        );
        assert!(off.advice(true).contains("--ppm") && !off.advice(false).contains("--ppm"));
        let sync = Diagnosis::SyncWithoutFrames { sync_words: 3, most: Some(Reject::Check) };
        assert_eq!(
            sync.seen(),
            "3 sync words were found, but no valid frame: most failed their check"
        );
        assert!(Diagnosis::NoSamples.progress() < Diagnosis::Frames.progress());
    }
}
