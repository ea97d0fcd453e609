//! The radio that the clients see: two VFOs and a split.

/// Highest frequency accepted, Hz.
pub const HIGHEST_FREQUENCY_HZ: f64 = 300e9;

/// One of the two VFOs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vfo {
    /// VFOA, also Main.
    A,
    /// VFOB, also Sub.
    B,
}

impl Vfo {
    const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// What a client means by a VFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    This(Vfo),
    Selected,
    Receiving,
    Uplink,
}

/// The names by which a VFO is called.
pub(super) const VFO_NAMES: &[(&str, Named)] = &[
    ("VFOA", Named::This(Vfo::A)),
    ("VFOB", Named::This(Vfo::B)),
    ("Main", Named::This(Vfo::A)),
    ("Sub", Named::This(Vfo::B)),
    ("MainA", Named::This(Vfo::A)),
    ("SubA", Named::This(Vfo::B)),
    ("currVFO", Named::Selected),
    ("VFO", Named::Selected),
    ("RX", Named::Receiving),
    ("TX", Named::Uplink),
];

pub(super) fn vfo_name(word: &[u8]) -> Option<(&'static str, Named)> {
    VFO_NAMES.iter().copied().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word))
}

/// How a VFO is set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Setting {
    /// `None` until it is set.
    pub(super) frequency_hz: Option<f64>,
    pub(super) mode: &'static str,
    pub(super) passband_hz: u32,
}

/// The radio that the clients see; one for all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct RigState {
    a: Setting,
    b: Setting,
    /// Answered for a VFO that was never set.
    idle_frequency_hz: f64,
    pub(super) selected: Vfo,
    /// The name by which it was selected, which is answered.
    pub(super) selected_name: &'static str,
    pub(super) split: bool,
    uplink: Vfo,
    pub(super) uplink_name: &'static str,
    pub(super) satellite_mode: bool,
}

impl RigState {
    /// A radio that nobody has tuned, which answers `idle_frequency_hz` to `f` (the carrier, say;
    /// 0 to 300 GHz, anything else counts as 0).
    pub fn new(idle_frequency_hz: f64) -> Self {
        let setting = Setting { frequency_hz: None, mode: "FM", passband_hz: 15_000 };
        let usable = (0.0..=HIGHEST_FREQUENCY_HZ).contains(&idle_frequency_hz);
        Self {
            a: setting,
            b: setting,
            idle_frequency_hz: if usable { idle_frequency_hz } else { 0.0 },
            selected: Vfo::A,
            selected_name: "VFOA",
            split: false,
            uplink: Vfo::B,
            uplink_name: "VFOB",
            satellite_mode: false,
        }
    }

    /// The VFO whose frequency is received.
    pub fn receiving(&self) -> Vfo {
        if self.split { self.uplink.other() } else { self.selected }
    }

    /// Frequency that the clients want received, Hz; `None` until one has set it.
    pub fn frequency_hz(&self) -> Option<f64> {
        self.setting(self.receiving()).frequency_hz
    }

    pub(super) const fn setting(&self, vfo: Vfo) -> &Setting {
        match vfo {
            Vfo::A => &self.a,
            Vfo::B => &self.b,
        }
    }

    pub(super) const fn setting_mut(&mut self, vfo: Vfo) -> &mut Setting {
        match vfo {
            Vfo::A => &mut self.a,
            Vfo::B => &mut self.b,
        }
    }

    pub(super) fn resolve(&self, named: Named) -> Vfo {
        match named {
            Named::This(vfo) => vfo,
            Named::Selected => self.selected,
            Named::Receiving => self.receiving(),
            Named::Uplink => self.transmitting(),
        }
    }

    /// The VFO that `I` and `X` set.
    pub(super) fn transmitting(&self) -> Vfo {
        if self.split { self.uplink } else { self.selected.other() }
    }

    pub(super) fn shown_frequency(&self, vfo: Vfo) -> String {
        // Whole hertz, as Hamlib answers.
        format!("{:.0}", self.setting(vfo).frequency_hz.unwrap_or(self.idle_frequency_hz))
    }

    pub(super) fn set_split(&mut self, on: bool, uplink: Vfo, name: &'static str) {
        self.split = on;
        self.uplink = uplink;
        self.uplink_name = name;
        if on && self.selected == uplink {
            std::mem::swap(&mut self.a, &mut self.b);
            self.selected = uplink.other();
            self.selected_name = match self.selected_name {
                "Main" => "Sub",
                "Sub" => "Main",
                _ if self.selected == Vfo::A => "VFOA",
                _ => "VFOB",
            };
        }
    }
}

impl Default for RigState {
    fn default() -> Self {
        Self::new(0.0)
    }
}
