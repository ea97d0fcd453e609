#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use proptest::prelude::*;

/// A client and a radio of its own.
struct Line {
    session: Session,
    state: RigState,
}

impl Line {
    fn new() -> Self {
        Self { session: Session::new(false), state: RigState::new(437e6) }
    }

    fn send(&mut self, bytes: &[u8]) -> Vec<Output> {
        let mut outputs = Vec::new();
        self.session.feed(bytes, &mut self.state, &mut outputs);
        outputs
    }

    /// All replies to a line, joined.
    fn ask(&mut self, line: &str) -> String {
        replies(&self.send(format!("{line}\n").as_bytes())).concat()
    }

    fn events(&mut self, line: &str) -> Vec<Event> {
        events(&self.send(format!("{line}\n").as_bytes()))
    }
}

fn replies(outputs: &[Output]) -> Vec<String> {
    outputs
        .iter()
        .filter_map(|o| match o {
            Output::Reply(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            Output::Event(_) => None,
        })
        .collect()
}

fn events(outputs: &[Output]) -> Vec<Event> {
    outputs
        .iter()
        .filter_map(|o| match o {
            Output::Event(event) => Some(*event),
            Output::Reply(_) => None,
        })
        .collect()
}

const fn tune(frequency_hz: f64, vfo: Vfo) -> Event {
    Event::Tune { frequency_hz, vfo }
}

#[test]
fn frequency_is_set_in_every_spelling_and_answered_in_whole_hertz() {
    let mut line = Line::new();
    assert_eq!(line.ask("f"), "437000000\n");
    for (spelling, answer) in [
        ("F  437512345", "437512345\n"),
        ("F 437500000.000000", "437500000\n"),
        ("F437500001", "437500001\n"),
        ("F 437500000.7", "437500001\n"),
        ("\\set_freq 1e9", "1000000000\n"),
        ("F\t 5 \r", "5\n"),
        ("F 0", "0\n"),
        ("F 300000000000", "300000000000\n"),
    ] {
        assert_eq!(line.ask(spelling), "RPRT 0\n", "{spelling}");
        assert_eq!(line.ask("f"), answer, "{spelling}");
    }
    for wrong in ["", "abc", "nan", "inf", "-5", "300000000001", "1e99", "4,5", "\u{fffd}"] {
        assert_eq!(line.ask(&format!("F {wrong}")), "RPRT -1\n", "{wrong}");
        assert!(line.events(&format!("F {wrong}")).is_empty());
    }
    assert_eq!(line.ask("\\get_freq"), "300000000000\n");
    assert_eq!(line.events("F 5.5"), [tune(5.5, Vfo::A)]);
    assert_eq!(line.events("F 5.5"), [tune(5.5, Vfo::A)], "a repetition is a setting too");
    assert_eq!(line.events("F -0"), [tune(0.0, Vfo::A)]);
}

#[test]
fn modes_and_passbands() {
    let mut line = Line::new();
    assert_eq!(line.ask("m"), "FM\n15000\n");
    assert_eq!(line.ask("M USB 2700"), "RPRT 0\n");
    assert_eq!(line.ask("m"), "USB\n2700\n");
    assert_eq!(line.ask("M PKTUSB -1"), "RPRT 0\n");
    assert_eq!(line.ask("m"), "PKTUSB\n2700\n");
    assert_eq!(line.ask("M FM 0"), "RPRT 0\n");
    assert_eq!(line.ask("+m"), "get_mode:\nMode: FM\nPassband: 15000\nRPRT 0\n");
    for wrong in ["M", "M FM", "M FM x", "M XX 0", "M FM -2", "M FM 99999999999", "M fm 0"] {
        assert_eq!(line.ask(wrong), "RPRT -1\n", "{wrong}");
    }
    assert!(line.ask("M ? 0").starts_with("AM CW USB"));
    assert_eq!(line.ask("X USB 100"), "RPRT 0\n");
    assert_eq!(line.ask("x"), "USB\n100\n");
    assert_eq!(line.ask("m"), "FM\n15000\n");
}

#[test]
fn extended_responses() {
    let mut line = Line::new();
    assert_eq!(line.ask("+F 145000000"), "set_freq: 145000000\nRPRT 0\n");
    assert_eq!(line.ask("+f"), "get_freq:\nFrequency: 145000000\nRPRT 0\n");
    for c in [';', '|', ','] {
        let want = format!("get_freq:{c}Frequency: 145000000{c}RPRT 0\n");
        assert_eq!(line.ask(&format!("{c}f")), want);
        assert_eq!(line.ask(&format!("{c}\\get_freq")), want);
    }
    assert_eq!(line.ask("+M FM abc"), "set_mode: FM abc\nRPRT -1\n");
    assert_eq!(line.ask("+f VFOA"), "get_freq: VFOA\nFrequency: 145000000\nRPRT 0\n");
    assert_eq!(line.ask("+\\chk_vfo"), "ChkVFO: 0\n");
    assert_eq!(line.ask("+AOS"), "AOS:\nRPRT 0\n");
    assert_eq!(line.ask("+"), "RPRT -1\n");
    let dump = line.ask("+\\dump_state");
    assert!(dump.starts_with("dump_state:\n1\n2\n") && dump.ends_with("done\nRPRT 0\n"));
}

#[test]
fn several_commands_on_a_line_and_comments() {
    let mut line = Line::new();
    assert_eq!(line.ask("F 145000000 f m v"), "RPRT 0\n145000000\nFM\n15000\nVFOA\n");
    assert_eq!(line.ask("fm"), "145000000\nFM\n15000\n");
    assert_eq!(line.ask("f;m"), "145000000\nget_mode:;Mode: FM;Passband: 15000;RPRT 0\n");
    assert_eq!(line.ask("f # m"), "145000000\n");
    assert_eq!(line.ask("F # 1"), "RPRT -1\n");
    assert_eq!(line.ask("# f") + &line.ask("") + &line.ask(" \r"), "");
    assert_eq!(line.ask("F x f f"), "RPRT -1\n", "nothing after a failed command");
    let many = line.send(format!("{}\n", "f".repeat(1000)).as_bytes());
    assert_eq!(many.len(), COMMANDS_PER_LINE + 1);
    assert_eq!(replies(&many).last().unwrap(), "RPRT -1\n");
}

#[test]
fn vfo_mode() {
    let mut line = Line::new();
    assert_eq!(line.ask("\\chk_vfo"), "0\n");
    assert_eq!(line.ask("\\set_vfo_opt 1"), "RPRT 0\n");
    assert_eq!(line.ask("\\chk_vfo"), "1\n");
    assert_eq!(line.ask("F VFOA 145000000"), "RPRT 0\n");
    assert_eq!(line.ask("F VFOB 435000000"), "RPRT 0\n");
    assert_eq!(line.ask("f VFOA") + &line.ask("f Sub"), "145000000\n435000000\n");
    assert_eq!(line.ask("F currVFO 146000000"), "RPRT 0\n");
    assert_eq!(line.ask("f Main"), "146000000\n");
    assert_eq!(line.ask("M VFOB USB 0"), "RPRT 0\n");
    assert_eq!(line.ask("+m VFOB"), "get_mode: VFOB\nMode: USB\nPassband: 2400\nRPRT 0\n");
    assert_eq!(line.ask("s VFOA"), "0\nVFOB\n");
    assert_eq!(line.ask("+S VFOA 1 VFOB"), "set_split_vfo: VFOA 1 VFOB\nRPRT 0\n");
    assert_eq!(line.ask("I VFOA 436000000"), "RPRT 0\n");
    assert_eq!(line.ask("i VFOA") + &line.ask("f VFOB"), "436000000\n436000000\n");
    assert_eq!(line.ask("f nonsense"), "RPRT -1\n");
    assert_eq!(line.ask("F nonsense 5"), "RPRT -1\n");
    assert_eq!(line.ask("\\get_vfo_info VFOA"), "146000000\nFM\n15000\n1\n0\n");
    assert_eq!(line.ask("\\set_vfo_opt 2"), "RPRT -1\n");
    // Another client of the same radio is not concerned.
    let mut other = Line { session: Session::new(false), state: line.state.clone() };
    assert_eq!(other.ask("\\chk_vfo") + &other.ask("f"), "0\n146000000\n");
    let mut set_so = Line { session: Session::new(true), state: RigState::default() };
    assert_eq!(set_so.ask("\\chk_vfo") + &set_so.ask("f"), "1\n0\n");
}

#[test]
fn only_the_receiving_vfo_tunes() {
    let mut line = Line::new();
    assert_eq!(line.events("F 145000000"), [tune(145e6, Vfo::A)]);
    assert_eq!(line.events("I 435000000"), []);
    assert_eq!(line.events("F VFOB 435000001"), []);
    assert_eq!(line.events("V VFOB"), [tune(435_000_001.0, Vfo::B)]);
    assert_eq!(line.ask("v"), "VFOB\n");
    assert_eq!(line.events("F 435000002"), [tune(435_000_002.0, Vfo::B)]);
    assert_eq!(line.events("V Main"), [tune(145e6, Vfo::A)]);
    assert_eq!(line.events("S 1 Sub"), []);
    assert_eq!(line.ask("s"), "1\nSub\n");
    assert_eq!(line.events("V Sub"), [], "looking at the uplink does not move the receiver");
    assert_eq!(line.events("F 435000003"), []);
    assert_eq!(line.ask("i"), "435000003\n");
    assert_eq!(line.events("V Main"), []);
    assert_eq!(line.events("F 145000001"), [tune(145_000_001.0, Vfo::A)]);
    assert_eq!(line.events("F TX 435000004"), []);
    assert_eq!(line.events("F RX 145000002"), [tune(145_000_002.0, Vfo::A)]);
}

#[test]
fn the_receiver_leaves_the_vfo_that_becomes_the_uplink() {
    let mut line = Line::new();
    line.ask("F 145000000");
    assert_eq!(line.ask("S 1 Main"), "RPRT 0\n");
    assert_eq!(line.ask("f"), "145000000\n");
    assert_eq!(line.events("F 145000001"), [tune(145_000_001.0, Vfo::B)]);
    assert_eq!(line.events("I 435000000"), []);
    assert_eq!(line.ask("f") + &line.ask("i") + &line.ask("v"), "145000001\n435000000\nVFOB\n");
    assert_eq!(line.ask("S 1 2"), "RPRT -1\n", "a number is no VFO, as for Hamlib");
    assert_eq!(line.ask("S 2 VFOB") + &line.ask("V foo") + &line.ask("V"), "RPRT -1\n".repeat(3));
}

#[test]
fn ptt_is_answered_to_the_one_who_pressed_it() {
    let mut line = Line::new();
    assert_eq!(line.ask("t") + &line.ask("T 1") + &line.ask("t"), "0\nRPRT 0\n1\n");
    let mut other = Line { session: Session::new(false), state: line.state.clone() };
    assert_eq!(other.ask("t"), "0\n");
    assert_eq!(line.ask("T 4") + &line.ask("T") + &line.ask("T -1"), "RPRT -1\n".repeat(3));
}

#[test]
fn signals_information_and_the_unknown() {
    let mut line = Line::new();
    assert_eq!(
        line.send(b"AOS\n"),
        [Output::Event(Event::Aos), Output::Reply(b"RPRT 0\n".to_vec())]
    );
    assert_eq!(line.events("LOS"), [Event::Los]);
    assert_eq!(line.ask("_"), line.ask("\\get_info"));
    assert!(line.ask("_").starts_with("Tulpar "));
    assert_eq!(line.ask("\\get_powerstat") + &line.ask("\\get_lock_mode"), "1\n0\n");
    assert_eq!(replies(&line.send(b"\x8b\n")), ["0\n"]);
    assert_eq!(line.ask("U SATMODE 1") + &line.ask("u SATMODE"), "RPRT 0\n1\n");
    for unknown in ["y", "L AF 0.5", "U VOX 1", "\\nosuch f", "\\", "\\ f", "AOSX", "é", "5"] {
        assert_eq!(line.ask(unknown), "RPRT -11\n", "{unknown}");
    }
    assert_eq!(line.ask("\\halt"), "RPRT -11\n", "a client does not end the receiver");
    assert!(line.ask("1").contains("Tulpar"));
    assert_eq!(line.ask("1"), line.ask("\\dump_caps"));
}

#[test]
fn nothing_is_taken_after_the_farewell() {
    for farewell in ["q", "Q", "\\quit", "+q"] {
        let mut line = Line::new();
        let outputs = line.send(format!("T 1\n{farewell}\nF 5\n").as_bytes());
        assert_eq!(events(&outputs), [Event::Quit]);
        assert!(replies(&outputs).concat().ends_with("RPRT 0\n"));
        assert_eq!(replies(&outputs).len(), 2);
        assert!(line.send(b"f\n").is_empty());
    }
}

/// Reads the state dump as NET rigctl does.
#[test]
fn the_state_dump_has_the_shape_that_clients_parse() {
    let dump = Line::new().ask("\\dump_state");
    let mut lines = dump.lines();
    let mut next = || lines.next().unwrap();
    assert_eq!([next(), next(), next()], ["1", "2", "0"]);
    let mut list = |fields: usize| {
        for count in 0.. {
            let line = next();
            assert_eq!(line.split(' ').count(), fields, "{line}");
            if line.split(' ').all(|f| f == "0") {
                return count;
            }
        }
        unreachable!()
    };
    assert_eq!([list(7), list(7), list(2), list(2)], [1, 0, 1, MODES.len()]);
    let rest: Vec<&str> = lines.collect();
    assert!(rest.iter().take(12).all(|l| *l == "0" || *l == "0x0"));
    assert!(rest.iter().skip(12).all(|l| l.contains('=') || *l == "done"));
    assert_eq!(rest.last(), Some(&"done"));
    assert!(dump.lines().all(|l| l.len() < 95), "NET rigctl's buffer");
}

#[test]
fn a_line_without_end_takes_no_memory() {
    let mut line = Line::new();
    for _ in 0..200 {
        assert!(line.send(&[b'f'; 5000]).is_empty());
        assert!(line.session.line.capacity() <= 2 * LONGEST_LINE_BYTES);
    }
    assert!(line.session.mid_line());
    assert_eq!(line.ask(""), "RPRT -1\n");
    assert_eq!(line.ask("f"), "437000000\n");
    assert!(!line.session.mid_line());
}

#[test]
fn addresses() {
    let parsed = |text: &str| RigAddress::parse(text).unwrap().to_string();
    assert_eq!(parsed("rigctl"), "127.0.0.1:4532");
    assert_eq!(parsed("rigctl:4533"), "127.0.0.1:4533");
    assert_eq!(parsed("rigctl:0.0.0.0:4540"), "0.0.0.0:4540");
    assert_eq!(parsed("rigctl:station.local:4540"), "station.local:4540");
    assert_eq!(parsed("rigctl:station.local"), "station.local:4532");
    assert_eq!(parsed("rigctl:[::1]:4532"), "[::1]:4532");
    assert_eq!(parsed("rigctl:[::1]"), "[::1]:4532");
    for wrong in [
        "",
        "rig",
        "rigctld",
        "rigctl:",
        "rigctl:0",
        "rigctl:65536",
        "rigctl:+5",
        "rigctl:a:",
        "rigctl::5",
        "rigctl:a:b",
        "rigctl:::1:4532",
        "rigctl:[::1",
        "rigctl:[::1]x",
        "rigctl:[::1]:",
        "rigctl:[x]:5",
        "rigctl:a b:5",
        "rigctl:http://x:5",
        "rigctl:a:+5",
    ] {
        let error = RigAddress::parse(wrong).unwrap_err().to_string();
        assert!(error.contains("rigctl:HOST:PORT") && error.lines().count() == 1, "{error}");
    }
}

/// Bytes of which lines of the protocol are made, and others.
fn talk() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        prop::sample::select(vec![
            "F ",
            "f",
            "I ",
            "V ",
            "S ",
            "1 ",
            "VFOA ",
            "Sub ",
            "Main ",
            "M ",
            "FM ",
            "0 ",
            "-1 ",
            "437500000 ",
            "\n",
            "\n",
            "\r\n",
            "+",
            ";",
            "#",
            "\\",
            "\\set_vfo_opt ",
            "\\dump_state",
            "AOS",
            "LOS",
            "t",
            "T ",
            "nan ",
            "\\set_split_freq_mode ",
            "?",
            "\\get_vfo_info ",
        ])
        .prop_map(|w| w.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..4),
        prop::sample::select(vec![500_usize, 1023, 1024, 1025, 3000]).prop_map(|n| vec![b' '; n]),
    ];
    prop::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn any_bytes_in_any_pieces_give_the_same(
        bytes in talk(),
        cuts in prop::collection::vec(1_usize..40, 1..50),
        vfo_mode: bool,
    ) {
        let start = || Line { session: Session::new(vfo_mode), state: RigState::new(437e6) };
        let mut whole = start();
        let expected = whole.send(&bytes);
        let mut pieces = start();
        let mut outputs = Vec::new();
        let mut rest = &bytes[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            rest = after;
            outputs.extend(pieces.send(piece));
            prop_assert!(pieces.session.line.len() <= LONGEST_LINE_BYTES);
        }
        prop_assert_eq!(&outputs, &expected);
        prop_assert_eq!(pieces.state, whole.state);
        for output in &outputs {
            match output {
                Output::Reply(bytes) => {
                    prop_assert!(bytes.ends_with(b"\n") && bytes.len() < 4096);
                }
                Output::Event(Event::Tune { frequency_hz, .. }) => {
                    prop_assert!((0.0..=HIGHEST_FREQUENCY_HZ).contains(frequency_hz));
                }
                Output::Event(_) => {}
            }
        }
    }
}
