//! A station that receives unattended: what it is to do, when, and what it says of each pass.
//!
//! ```text
//!  station.toml ──► file ──┐
//!  elements ───────────────┼─► plan ──► a task: satellite, radio, from, to
//!  place, clock ───────────┘                │
//!                                           ▼
//!                                 reception (the program's loop)
//!                                   │ frames          │ samples
//!                                   ▼                 ▼
//!                                 report ◄──────── waterfall ──► picture
//!                                 .json            bounded        .png
//! ```
//!
//! Everything here is pure: instants come in as arguments. The loop that waits, opens radios and
//! writes files is the program's (`tulpar station`).

pub mod file;
mod font;
pub mod picture;
pub mod plan;
pub mod report;
pub mod waterfall;

pub use file::{RadioRequest, SatelliteRequest, StationFile};
pub use plan::{Candidate, Omission, Plan, Reason, Request, Task};
