//! The protocol of Hamlib's `rigctld`, from the side of the radio: bytes of a client in, replies
//! and events out. No socket and no clock: [`Session`] is one client, [`RigState`] is what all
//! clients share.
//!
//! Tulpar plays a receiver with two VFOs. Tracking programs (gpredict, SatNOGS clients, anything
//! on Hamlib's "NET rigctl" model) set its frequency each second or so, and that is the Doppler
//! correction.
//!
//! # The protocol
//!
//! Text over TCP, port 4532. A line holds one or more commands: a letter (`F 437500000`), or a
//! backslash and a name (`\set_freq 437500000`), then the arguments, separated by any number of
//! blanks. `#` begins a comment. A command that sets answers `RPRT 0`, one that asks answers its
//! values, one a line, without `RPRT`; what fails answers `RPRT -n` with Hamlib's error number: -1
//! for a bad argument, -11 for what this radio cannot do. What follows a failed command on the same
//! line is not executed.
//!
//! * **Extended responses.** A `+` before the command asks for `name: arguments`, `Key: value`
//!   lines, and `RPRT n` always; `;`, `|` and `,` ask for the same with that character in place of
//!   all line ends but the last.
//! * **VFO mode.** If `\chk_vfo` answers 1 the client names a VFO before the other arguments
//!   (`F VFOA 437500000`). It does from the start if the server was set so, or once the client has
//!   sent `\set_vfo_opt 1`, for that client. A VFO named without VFO mode is understood as well.
//! * **NET rigctl** opens with `\chk_vfo`, `\dump_state`, `v`, `f`, `s`, `m` and
//!   `\get_powerstat`, asks `\get_lock_mode` before it sets a mode, and leaves with `q`. The state
//!   dump is positional: protocol 1, model, ITU region, receive ranges, transmit ranges, tuning
//!   steps, filters (each list ended by a line of zeroes), nine lines of limits and lists, masks of
//!   functions, levels and parameters, then `key=value` lines up to `done`.
//! * **gpredict** reads each answer with one `recv`: a reply must be one write. It pads the
//!   frequency with blanks to ten places (`F %10.0f`), reads it back with `f`, and takes a
//!   difference of 1 Hz or more for the user's hand on the dial: `f` must answer what was set.
//!   With a transponder it sends `S 1 Sub` or `U SATMODE 1` once, and `I`/`i` for the uplink. It
//!   can send `AOS` and `LOS` lines when the satellite crosses the horizon, which Hamlib itself
//!   does not know. The state of the squelch is asked with the single byte 0x8b.
//!
//! # Which frequency steers
//!
//! `F` sets the selected VFO, or the one that it names. VFO A is also called Main, B is Sub. The
//! **receiving** VFO is the selected one; with split it is the one that is not the uplink. Only its
//! frequency becomes an [`Event::Tune`]: uplink frequencies are remembered and answered, never
//! used. If split is switched on with the selected VFO as uplink, the receiver moves to the other
//! one and takes its frequency along.
//!
//! `T` is accepted and answered, per client; nothing is ever transmitted.
//!
//! Learned from rigctl(1) and rigctld(1), from the exchange between Hamlib 4.5.4's two programs as
//! seen on the wire, and from what gpredict's `gtk-rig-ctrl.c` sends.

mod address;
mod radio;

pub use address::{DEFAULT_PORT, RigAddress};
pub use radio::{HIGHEST_FREQUENCY_HZ, RigState, Vfo};
use radio::{Named, VFO_NAMES, vfo_name};

/// Longest line that is understood; of a longer one nothing is kept.
const LONGEST_LINE_BYTES: usize = 1024;
/// Commands executed of one line: `dump_state` is forty times as long as its shortest request.
const COMMANDS_PER_LINE: usize = 32;

/// Hamlib's error number for a bad argument.
const INVALID: i32 = -1;
/// Hamlib's error number for what the radio does not have.
const UNAVAILABLE: i32 = -11;

/// Mode names, their bit in Hamlib's masks, and the passband meant by 0, Hz.
const MODES: &[(&str, u32, u32)] = &[
    ("AM", 0x1, 8_000),
    ("CW", 0x2, 500),
    ("USB", 0x4, 2_400),
    ("LSB", 0x8, 2_400),
    ("RTTY", 0x10, 2_400),
    ("FM", 0x20, 15_000),
    ("WFM", 0x40, 230_000),
    ("CWR", 0x80, 500),
    ("RTTYR", 0x100, 2_400),
    ("PKTLSB", 0x400, 2_400),
    ("PKTUSB", 0x800, 2_400),
    ("PKTFM", 0x1000, 15_000),
];
/// Widest passband accepted, Hz.
const WIDEST_PASSBAND_HZ: u32 = 100_000_000;

/// What a client wants that is not only an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event {
    /// The receiver is to be tuned.
    Tune {
        /// To this frequency, 0 to 300 GHz.
        frequency_hz: f64,
        /// The VFO that receives it.
        vfo: Vfo,
    },
    /// The satellite has risen.
    Aos,
    /// The satellite has set.
    Los,
    /// The client wants to be disconnected. Nothing comes after it.
    Quit,
}

/// What comes out of a session, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// The whole reply to one command, to be sent with one write.
    Reply(Vec<u8>),
    /// Something to do.
    Event(Event),
}

/// One client. Holds at most one line.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    line: Vec<u8>,
    /// The line has become too long and is being skipped.
    overlong: bool,
    vfo_mode: bool,
    /// What this client has said with `T`.
    transmit: u8,
    over: bool,
}

impl Session {
    /// A client that has just connected. `vfo_mode`: it is told to name a VFO in each command, as
    /// `rigctld --vfo` does.
    pub const fn new(vfo_mode: bool) -> Self {
        Self { line: Vec::new(), overlong: false, vfo_mode, transmit: 0, over: false }
    }

    /// Takes what has arrived, in pieces of any size, and appends what follows from it. After
    /// [`Event::Quit`] nothing is taken any more. A line without its line end waits for it.
    pub fn feed(&mut self, bytes: &[u8], state: &mut RigState, outputs: &mut Vec<Output>) {
        for piece in bytes.split_inclusive(|&b| b == b'\n') {
            if self.over {
                return;
            }
            let (text, ended) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            if self.overlong || self.line.len() + text.len() > LONGEST_LINE_BYTES {
                self.overlong = true;
                self.line.clear();
            } else {
                self.line.extend_from_slice(text);
            }
            if !ended {
                continue;
            }
            if std::mem::take(&mut self.overlong) {
                outputs.push(Output::Reply(report(INVALID)));
            } else {
                let line = std::mem::take(&mut self.line);
                self.execute_line(&line, state, outputs);
                self.line = line;
                self.line.clear();
            }
        }
    }

    /// Whether the beginning of a line has arrived, but not its end.
    pub const fn mid_line(&self) -> bool {
        self.overlong || !self.line.is_empty()
    }

    fn execute_line(&mut self, line: &[u8], state: &mut RigState, outputs: &mut Vec<Output>) {
        let mut words = Words { rest: line };
        for _ in 0..COMMANDS_PER_LINE {
            let Some(mut first) = words.first_byte() else { return };
            let separator = match first {
                b'#' => return,
                b'+' => Some(b'\n'),
                b';' | b'|' | b',' => Some(first),
                _ => None,
            };
            if separator.is_some() {
                words.skip_byte();
                match words.first_byte() {
                    Some(byte) if byte != b'#' => first = byte,
                    _ => return outputs.push(Output::Reply(report(INVALID))),
                }
            }
            let command = if first == b'\\' {
                words.skip_byte();
                let name = words.next_unspaced();
                COMMANDS.iter().find(|c| !name.is_empty() && c.name.as_bytes() == name)
            } else if let signal @ (b"AOS" | b"LOS") = words.peek() {
                words.next();
                let (event, name) =
                    if signal == b"AOS" { (Event::Aos, "AOS") } else { (Event::Los, "LOS") };
                outputs.push(Output::Event(event));
                outputs.push(Output::Reply(reply(name, &[], separator, &Answer::Done)));
                continue;
            } else {
                words.skip_byte();
                COMMANDS.iter().find(|c| c.letter == Some(first))
            };
            let Some(command) = command else {
                return outputs.push(Output::Reply(report(UNAVAILABLE)));
            };

            let received_before = (state.receiving(), state.frequency_hz());
            let mut call = Call { words, taken: Vec::new(), tuned: None };
            let answer = match self.execute(command.verb, &mut call, state) {
                Ok(answer) => answer,
                Err(code) => Answer::Refused(code),
            };
            words = call.words;
            if (state.receiving(), state.frequency_hz()) != received_before
                || call.tuned == Some(state.receiving())
            {
                let vfo = state.receiving();
                if let Some(frequency_hz) = state.frequency_hz() {
                    outputs.push(Output::Event(Event::Tune { frequency_hz, vfo }));
                }
            }
            let failed = matches!(answer, Answer::Refused(_));
            let text = if command.verb == Verb::CheckVfo && separator.is_some() {
                // Hamlib's one exception: a single line, also when extended.
                format!("ChkVFO: {}\n", u8::from(self.vfo_mode)).into_bytes()
            } else {
                reply(command.name, &call.taken, separator, &answer)
            };
            outputs.push(Output::Reply(text));
            if command.verb == Verb::Quit {
                self.over = true;
                return outputs.push(Output::Event(Event::Quit));
            }
            if failed {
                return;
            }
        }
        if words.first_byte().is_some_and(|b| b != b'#') {
            outputs.push(Output::Reply(report(INVALID)));
        }
    }

    /// Executes a command; the error is Hamlib's number.
    fn execute(
        &mut self,
        verb: Verb,
        call: &mut Call<'_>,
        state: &mut RigState,
    ) -> Result<Answer, i32> {
        let value = |key, text: String| Answer::Values(vec![(key, text)]);
        let done = Ok(Answer::Done);
        match verb {
            Verb::SetFrequency => {
                let vfo = call.vfo(state);
                let frequency_hz = call.frequency()?;
                state.setting_mut(vfo).frequency_hz = Some(frequency_hz);
                call.tuned = Some(vfo);
                done
            }
            Verb::GetFrequency => {
                let vfo = call.asked_vfo(state, self.vfo_mode)?;
                Ok(value("Frequency", state.shown_frequency(vfo)))
            }
            Verb::SetSplitFrequency => {
                call.vfo(state);
                let frequency_hz = call.frequency()?;
                state.setting_mut(state.transmitting()).frequency_hz = Some(frequency_hz);
                done
            }
            Verb::GetSplitFrequency => {
                call.asked_vfo(state, self.vfo_mode)?;
                Ok(value("TX Frequency", state.shown_frequency(state.transmitting())))
            }
            Verb::SetMode => {
                let vfo = call.vfo(state);
                call.mode(state, vfo)
            }
            Verb::GetMode => {
                let vfo = call.asked_vfo(state, self.vfo_mode)?;
                let setting = state.setting(vfo);
                Ok(Answer::Values(vec![
                    ("Mode", setting.mode.to_owned()),
                    ("Passband", setting.passband_hz.to_string()),
                ]))
            }
            Verb::SetSplitMode => {
                call.vfo(state);
                call.mode(state, state.transmitting())
            }
            Verb::GetSplitMode => {
                call.asked_vfo(state, self.vfo_mode)?;
                let setting = state.setting(state.transmitting());
                Ok(Answer::Values(vec![
                    ("TX Mode", setting.mode.to_owned()),
                    ("TX Passband", setting.passband_hz.to_string()),
                ]))
            }
            Verb::SetSplitFrequencyMode => {
                call.vfo(state);
                let frequency_hz = call.frequency()?;
                let answer = call.mode(state, state.transmitting())?;
                state.setting_mut(state.transmitting()).frequency_hz = Some(frequency_hz);
                Ok(answer)
            }
            Verb::GetSplitFrequencyMode => {
                call.asked_vfo(state, self.vfo_mode)?;
                let setting = state.setting(state.transmitting());
                Ok(Answer::Values(vec![
                    ("TX Frequency", state.shown_frequency(state.transmitting())),
                    ("TX Mode", setting.mode.to_owned()),
                    ("TX Passband", setting.passband_hz.to_string()),
                ]))
            }
            Verb::SetVfo => {
                let word = call.word()?;
                if word == b"?" {
                    let names: Vec<&str> = VFO_NAMES.iter().map(|(name, _)| *name).collect();
                    return Ok(Answer::Text(format!("{}\nRPRT 0\n", names.join(" "))));
                }
                let (name, named) = vfo_name(word).ok_or(INVALID)?;
                let vfo = state.resolve(named);
                if vfo != state.selected || matches!(named, Named::This(_)) {
                    state.selected_name = match (named, vfo) {
                        (Named::This(_), _) => name,
                        (_, Vfo::A) => "VFOA",
                        (_, Vfo::B) => "VFOB",
                    };
                }
                state.selected = vfo;
                done
            }
            Verb::GetVfo => {
                call.asked_vfo(state, false)?;
                Ok(value("VFO", state.selected_name.to_owned()))
            }
            Verb::SetSplit => {
                call.vfo(state);
                let on = call.switch()?;
                let (name, named) = vfo_name(call.word()?).ok_or(INVALID)?;
                let uplink = state.resolve(named);
                let name = match (named, uplink) {
                    (Named::This(_), _) => name,
                    (_, Vfo::A) => "VFOA",
                    (_, Vfo::B) => "VFOB",
                };
                state.set_split(on, uplink, name);
                done
            }
            Verb::GetSplit => {
                call.asked_vfo(state, self.vfo_mode)?;
                Ok(Answer::Values(vec![
                    ("Split", u8::from(state.split).to_string()),
                    ("TX VFO", state.uplink_name.to_owned()),
                ]))
            }
            Verb::SetPtt => {
                call.vfo(state);
                // 2 and 3: on, with the sound from the microphone or the data socket.
                match call.number()? {
                    pressed @ 0..=3 => self.transmit = pressed,
                    _ => return Err(INVALID),
                }
                done
            }
            Verb::GetPtt => {
                call.asked_vfo(state, self.vfo_mode)?;
                Ok(value("PTT", self.transmit.to_string()))
            }
            Verb::GetDcd => {
                call.asked_vfo(state, self.vfo_mode)?;
                Ok(value("DCD", "0".to_owned()))
            }
            Verb::SetFunction => {
                call.vfo(state);
                let name = call.word()?;
                if name != b"SATMODE" {
                    return Err(UNAVAILABLE);
                }
                state.satellite_mode = call.switch()?;
                done
            }
            Verb::GetFunction => {
                call.vfo(state);
                if call.word()? != b"SATMODE" {
                    return Err(UNAVAILABLE);
                }
                Ok(value("Func Status", u8::from(state.satellite_mode).to_string()))
            }
            Verb::GetInfo => {
                Ok(value("Info", concat!("Tulpar ", env!("CARGO_PKG_VERSION")).to_owned()))
            }
            Verb::GetPower => Ok(value("Power Status", "1".to_owned())),
            Verb::SetPower => {
                if call.switch()? {
                    done
                } else {
                    Err(UNAVAILABLE)
                }
            }
            Verb::GetLock => Ok(value("Locked", "0".to_owned())),
            Verb::GetVfoInfo => {
                let vfo = call.asked_vfo(state, true)?;
                let setting = state.setting(vfo);
                Ok(Answer::Values(vec![
                    ("Freq", state.shown_frequency(vfo)),
                    ("Mode", setting.mode.to_owned()),
                    ("Width", setting.passband_hz.to_string()),
                    ("Split", u8::from(state.split).to_string()),
                    ("SatMode", u8::from(state.satellite_mode).to_string()),
                ]))
            }
            Verb::GetVfoList => Ok(value("VFOs", "VFOA VFOB Main Sub currVFO".to_owned())),
            Verb::CheckVfo => Ok(Answer::Text(format!("{}\n", u8::from(self.vfo_mode)))),
            Verb::SetVfoMode => {
                self.vfo_mode = call.switch()?;
                done
            }
            Verb::DumpState => Ok(Answer::Text(state_dump())),
            Verb::DumpCapabilities => Ok(Answer::Text(capabilities_dump())),
            Verb::Quit => done,
        }
    }
}

/// The words of a line not yet taken.
#[derive(Debug, Clone, Copy)]
struct Words<'a> {
    rest: &'a [u8],
}

impl<'a> Words<'a> {
    /// Skips blanks; the byte after them.
    fn first_byte(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.first().copied()
    }

    fn skip_byte(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    /// The bytes up to the next blank, which may be none.
    fn next_unspaced(&mut self) -> &'a [u8] {
        let end = self.rest.iter().position(u8::is_ascii_whitespace).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// The next word; empty at the end of the line and before a comment.
    fn next(&mut self) -> &'a [u8] {
        match self.first_byte() {
            None | Some(b'#') => &[],
            Some(_) => self.next_unspaced(),
        }
    }

    fn peek(&self) -> &'a [u8] {
        let mut ahead = *self;
        ahead.next()
    }
}

/// A command being executed.
struct Call<'a> {
    words: Words<'a>,
    /// The arguments taken, as the extended response repeats them.
    taken: Vec<&'a [u8]>,
    /// The VFO whose frequency was set.
    tuned: Option<Vfo>,
}

impl<'a> Call<'a> {
    /// The next argument.
    fn word(&mut self) -> Result<&'a [u8], i32> {
        let word = self.words.next();
        if word.is_empty() {
            return Err(INVALID);
        }
        self.taken.push(word);
        Ok(word)
    }

    /// The VFO, if one is named; the selected one otherwise.
    fn vfo(&mut self, state: &RigState) -> Vfo {
        let Some((_, named)) = vfo_name(self.words.peek()) else { return state.selected };
        self.taken.push(self.words.next());
        state.resolve(named)
    }

    /// The VFO of a question. In VFO mode a word that is no VFO is an error.
    fn asked_vfo(&mut self, state: &RigState, must_be: bool) -> Result<Vfo, i32> {
        let word = self.words.peek();
        if must_be && !word.is_empty() && vfo_name(word).is_none() {
            return Err(INVALID);
        }
        Ok(self.vfo(state))
    }

    fn number<T: std::str::FromStr>(&mut self) -> Result<T, i32> {
        let word = self.word()?;
        std::str::from_utf8(word).ok().and_then(|text| text.parse().ok()).ok_or(INVALID)
    }

    fn frequency(&mut self) -> Result<f64, i32> {
        let frequency_hz: f64 = self.number()?;
        // NaN is in no range; abs() makes 0 of -0.
        let fits = (0.0..=HIGHEST_FREQUENCY_HZ).contains(&frequency_hz);
        if fits { Ok(frequency_hz.abs()) } else { Err(INVALID) }
    }

    fn switch(&mut self) -> Result<bool, i32> {
        match self.word()? {
            b"0" => Ok(false),
            b"1" => Ok(true),
            _ => Err(INVALID),
        }
    }

    /// Mode and passband: 0 is the mode's usual one, -1 leaves it.
    fn mode(&mut self, state: &mut RigState, vfo: Vfo) -> Result<Answer, i32> {
        let name = self.word()?;
        if name == b"?" {
            let names: Vec<&str> = MODES.iter().map(|(name, ..)| *name).collect();
            self.words.next();
            return Ok(Answer::Text(format!("{}\nRPRT 0\n", names.join(" "))));
        }
        let passband_hz: i64 = self.number()?;
        let (mode, _, usual_hz) =
            MODES.iter().copied().find(|(m, ..)| m.as_bytes() == name).ok_or(INVALID)?;
        let passband_hz = match passband_hz {
            -1 => None,
            0 => Some(usual_hz),
            width => Some(u32::try_from(width).map_err(|_| INVALID)?),
        };
        if passband_hz.is_some_and(|width| width > WIDEST_PASSBAND_HZ) {
            return Err(INVALID);
        }
        let setting = state.setting_mut(vfo);
        setting.mode = mode;
        setting.passband_hz = passband_hz.unwrap_or(setting.passband_hz);
        Ok(Answer::Done)
    }
}

/// What a command comes to.
#[derive(Debug, Clone, PartialEq)]
enum Answer {
    Done,
    Values(Vec<(&'static str, String)>),
    /// Lines of their own kind.
    Text(String),
    Refused(i32),
}

fn report(code: i32) -> Vec<u8> {
    format!("RPRT {code}\n").into_bytes()
}

fn reply(name: &str, taken: &[&[u8]], separator: Option<u8>, answer: &Answer) -> Vec<u8> {
    let mut out = Vec::new();
    let code = if let Answer::Refused(code) = answer { *code } else { 0 };
    let Some(separator) = separator else {
        match answer {
            Answer::Done | Answer::Refused(_) => out = report(code),
            Answer::Values(values) => {
                for (_, value) in values {
                    out.extend_from_slice(value.as_bytes());
                    out.push(b'\n');
                }
            }
            Answer::Text(text) => out.extend_from_slice(text.as_bytes()),
        }
        return out;
    };
    out.extend_from_slice(name.as_bytes());
    out.push(b':');
    for word in taken {
        out.push(b' ');
        out.extend_from_slice(word);
    }
    out.push(separator);
    match answer {
        Answer::Done | Answer::Refused(_) => {}
        Answer::Values(values) => {
            for (key, value) in values {
                out.extend_from_slice(key.as_bytes());
                out.extend_from_slice(b": ");
                out.extend_from_slice(value.as_bytes());
                out.push(separator);
            }
        }
        Answer::Text(text) => {
            let text = text.strip_suffix("RPRT 0\n").unwrap_or(text);
            out.extend(text.bytes().map(|b| if b == b'\n' { separator } else { b }));
        }
    }
    out.extend_from_slice(&report(code));
    out
}

/// The radio as NET rigctl wants it described.
fn state_dump() -> String {
    let modes = MODES.iter().fold(0, |mask, (_, bit, _)| mask | bit);
    let mut out = String::new();
    // Protocol; model (2 is NET rigctl); ITU region.
    out.push_str("1\n2\n0\n");
    // Receives from 1 Hz (0 would look like the list's end), no transmitter power, VFO A and B,
    // one antenna. Transmits nowhere.
    out.push_str(&format!("1.000000 {HIGHEST_FREQUENCY_HZ:.6} {modes:#x} -1 -1 0x3 0x1\n"));
    out.push_str("0 0 0 0 0 0 0\n0 0 0 0 0 0 0\n");
    // Tuning steps: 1 Hz in any mode. Filters: the modes' usual widths.
    out.push_str(&format!("{modes:#x} 1\n0 0\n"));
    for (_, bit, usual_hz) in MODES {
        out.push_str(&format!("{bit:#x} {usual_hz}\n"));
    }
    out.push_str("0 0\n");
    // RIT, XIT, IF shift, announcements; preamplifiers and attenuators.
    out.push_str("0\n0\n0\n0\n0\n0\n");
    // Functions, levels and parameters, to get and to set.
    out.push_str("0x0\n0x0\n0x0\n0x0\n0x0\n0x0\n");
    // Named fields. ptt_type 1: by command. targetable_vfo 3: frequency and mode of any VFO can be
    // set without selecting it.
    out.push_str(
        "vfo_ops=0x0\nptt_type=0x1\ntargetable_vfo=0x3\nhas_set_vfo=1\nhas_get_vfo=1\n\
         has_set_freq=1\nhas_get_freq=1\nhas_set_conf=0\nhas_get_conf=0\nhas_power2mW=0\n\
         has_mW2power=0\ntimeout=0\nrig_model=2\n",
    );
    out.push_str(concat!("rigctld_version=Tulpar ", env!("CARGO_PKG_VERSION"), "\ndone\n"));
    out
}

fn capabilities_dump() -> String {
    let modes: Vec<&str> = MODES.iter().map(|(name, ..)| *name).collect();
    format!(
        "Caps dump for model: 2\nModel name:\tTulpar\nMfg name:\tTulpar\n\
         Backend version:\t{}\nRig type:\tReceiver\nPTT type:\tNone\n\
         Has targetable VFO: Y\nMode list: {}\nVFO list: VFOA VFOB\n\
         RX ranges:\n\t1 Hz - {HIGHEST_FREQUENCY_HZ:.0} Hz\nTX ranges: none\n",
        env!("CARGO_PKG_VERSION"),
        modes.join(" "),
    )
}

/// What a command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    SetFrequency,
    GetFrequency,
    SetSplitFrequency,
    GetSplitFrequency,
    SetMode,
    GetMode,
    SetSplitMode,
    GetSplitMode,
    SetSplitFrequencyMode,
    GetSplitFrequencyMode,
    SetVfo,
    GetVfo,
    SetSplit,
    GetSplit,
    SetPtt,
    GetPtt,
    GetDcd,
    SetFunction,
    GetFunction,
    GetInfo,
    GetPower,
    SetPower,
    GetLock,
    GetVfoInfo,
    GetVfoList,
    CheckVfo,
    SetVfoMode,
    DumpState,
    DumpCapabilities,
    Quit,
}

/// A command's letter (some have none, some a byte above ASCII), name and meaning.
struct Command {
    letter: Option<u8>,
    name: &'static str,
    verb: Verb,
}

const fn command(letter: u8, name: &'static str, verb: Verb) -> Command {
    Command { letter: Some(letter), name, verb }
}

/// Everything understood. What is not here is answered as not available.
const COMMANDS: &[Command] = &[
    command(b'F', "set_freq", Verb::SetFrequency),
    command(b'f', "get_freq", Verb::GetFrequency),
    command(b'I', "set_split_freq", Verb::SetSplitFrequency),
    command(b'i', "get_split_freq", Verb::GetSplitFrequency),
    command(b'M', "set_mode", Verb::SetMode),
    command(b'm', "get_mode", Verb::GetMode),
    command(b'X', "set_split_mode", Verb::SetSplitMode),
    command(b'x', "get_split_mode", Verb::GetSplitMode),
    command(b'K', "set_split_freq_mode", Verb::SetSplitFrequencyMode),
    command(b'k', "get_split_freq_mode", Verb::GetSplitFrequencyMode),
    command(b'V', "set_vfo", Verb::SetVfo),
    command(b'v', "get_vfo", Verb::GetVfo),
    command(b'S', "set_split_vfo", Verb::SetSplit),
    command(b's', "get_split_vfo", Verb::GetSplit),
    command(b'T', "set_ptt", Verb::SetPtt),
    command(b't', "get_ptt", Verb::GetPtt),
    command(0x8b, "get_dcd", Verb::GetDcd),
    command(b'U', "set_func", Verb::SetFunction),
    command(b'u', "get_func", Verb::GetFunction),
    command(b'_', "get_info", Verb::GetInfo),
    command(0x88, "get_powerstat", Verb::GetPower),
    command(0x87, "set_powerstat", Verb::SetPower),
    command(0xa3, "get_lock_mode", Verb::GetLock),
    command(0xf3, "get_vfo_info", Verb::GetVfoInfo),
    Command { letter: None, name: "get_vfo_list", verb: Verb::GetVfoList },
    command(0xf0, "chk_vfo", Verb::CheckVfo),
    Command { letter: None, name: "set_vfo_opt", verb: Verb::SetVfoMode },
    command(0x8f, "dump_state", Verb::DumpState),
    command(b'1', "dump_caps", Verb::DumpCapabilities),
    command(b'q', "quit", Verb::Quit),
    command(b'Q', "exit", Verb::Quit),
];

#[cfg(test)]
mod tests;
