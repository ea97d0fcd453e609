//! The plan as a table, or as JSON.

use std::io::{self, Write};

use jiff::Timestamp;
use serde_json::{Value, json};
use tulpar::doppler::seconds_between;
use tulpar::sink::jsonl::rfc3339;
use tulpar::station::{Candidate, Plan, Reason};

use super::preparation::Prepared;

/// Prints a plan as a table.
pub fn table(
    out: &mut impl Write,
    prepared: &Prepared,
    plan: &Plan,
    (from, to): (Timestamp, Timestamp),
) -> io::Result<()> {
    let (first, last) = (day(from), day(to));
    writeln!(out, "Plan of {} at {}, {first} to {last}", prepared.name, prepared.place)?;
    writeln!(out)?;
    let name = |request: usize| prepared.satellites[request].entry.name.as_str();
    let names: Vec<&str> = (0..prepared.satellites.len()).map(name).collect();
    let radios: Vec<&str> = prepared.file.radios.iter().map(|radio| radio.name.as_str()).collect();
    let width = |names: &[&str], head: &str| {
        names.iter().map(|n| n.chars().count()).max().unwrap_or(0).max(head.len())
    };
    let (wide, wide_radio) = (width(&names, "satellite"), width(&radios, "radio"));
    writeln!(
        out,
        "{:<10}  {:<8}  {:<8}  {:>7}  {:>7}  {:>8}  {:<wide$}  {:<wide_radio$}  note",
        "date", "from", "to", "seconds", "highest", "priority", "satellite", "radio"
    )?;
    for task in &plan.tasks {
        let note = if task.gives_way_to.is_empty() {
            String::new()
        } else {
            format!(
                "{} of it; the rest goes to {}",
                part(&task.candidate, task.from, task.to),
                list(&names, &task.gives_way_to)
            )
        };
        let line = format!(
            "{}  {}  {}  {:>7.0}  {:>6.0}°  {:>8}  {:<wide$}  {:<wide_radio$}  {note}",
            task.from.strftime("%Y-%m-%d"),
            task.from.strftime("%H:%M:%S"),
            task.to.strftime("%H:%M:%S"),
            task.duration_s(),
            task.candidate.elevation_deg,
            task.candidate.priority,
            names[task.candidate.request],
            radios[task.radio],
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    let low = plan.omissions.iter().filter(|o| o.reason == Reason::Low).count();
    let others: Vec<_> = plan.omissions.iter().filter(|o| o.reason != Reason::Low).collect();
    writeln!(out)?;
    let conflicts = plan.tasks.iter().filter(|task| !task.gives_way_to.is_empty()).count();
    writeln!(
        out,
        "{} to receive, {conflicts} of them in part; {} left out for others, {low} too low",
        plan.tasks.len(),
        others.len(),
    )?;
    for omission in others {
        let candidate = &omission.candidate;
        writeln!(
            out,
            "left out: {} {} to {}, {:.0}°: {}",
            names[candidate.request],
            day(candidate.rise),
            candidate.set.strftime("%H:%M:%S"),
            candidate.elevation_deg,
            reason(&names, &omission.reason)
        )?;
    }
    Ok(())
}

/// Prints a plan as JSON, one object a pass, in the order of time.
pub fn records(out: &mut impl Write, prepared: &Prepared, plan: &Plan) -> io::Result<()> {
    let names: Vec<&str> = prepared.satellites.iter().map(|s| s.entry.name.as_str()).collect();
    let named = |requests: &[usize]| -> Vec<&str> { requests.iter().map(|k| names[*k]).collect() };
    let mut all: Vec<(Timestamp, Value)> = Vec::new();
    for task in &plan.tasks {
        let mut value = record(&names, &task.candidate);
        value["from"] = json!(rfc3339(task.from));
        value["to"] = json!(rfc3339(task.to));
        value["radio"] = json!(prepared.file.radios[task.radio].name);
        value["gives_way_to"] = json!(named(&task.gives_way_to));
        all.push((task.from, value));
    }
    for omission in &plan.omissions {
        let mut value = record(&names, &omission.candidate);
        value["left_out"] = json!(match omission.reason {
            Reason::Low => "low",
            Reason::NoRadio => "no radio",
            Reason::Conflict(_) => "conflict",
        });
        if let Reason::Conflict(with) = &omission.reason {
            value["gives_way_to"] = json!(named(with));
        }
        all.push((omission.candidate.rise, value));
    }
    all.sort_by_key(|(time, _)| *time);
    all.iter().try_for_each(|(_, value)| writeln!(out, "{value}"))
}

fn record(names: &[&str], candidate: &Candidate) -> Value {
    json!({
        "satellite": names[candidate.request],
        "priority": candidate.priority,
        "rise": rfc3339(candidate.rise),
        "highest": rfc3339(candidate.highest),
        "set": rfc3339(candidate.set),
        "highest_elevation_deg": (candidate.elevation_deg * 100.0).round() / 100.0,
    })
}

/// Which part of a pass is received.
fn part(candidate: &Candidate, from: Timestamp, to: Timestamp) -> &'static str {
    match (from > candidate.rise, to < candidate.set) {
        (false, true) => "the beginning",
        (true, false) => "the end",
        (true, true) => "the middle",
        (false, false) => "all",
    }
}

fn list(names: &[&str], requests: &[usize]) -> String {
    requests.iter().map(|k| names[*k]).collect::<Vec<_>>().join(", ")
}

/// Why a pass is left out.
fn reason(names: &[&str], reason: &Reason) -> String {
    match reason {
        Reason::Low => "too low".to_owned(),
        Reason::NoRadio => "no radio can receive it".to_owned(),
        Reason::Conflict(with) => format!("the radio receives {}", list(names, with)),
    }
}

/// `2026-08-01 12:00:00`
fn day(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// What comes next, for a status line.
pub fn next(prepared: &Prepared, plan: &Plan, now: Timestamp) -> String {
    match plan.tasks.iter().find(|task| task.to > now) {
        Some(task) => {
            let name = &prepared.satellites[task.candidate.request].entry.name;
            let minutes = seconds_between(now, task.from) / 60.0;
            format!(
                "next: {name} at {} UTC, in {:.0} min, {:.0}° high",
                day(task.from),
                minutes.max(0.0),
                task.candidate.elevation_deg
            )
        }
        None => "no pass in sight".to_owned(),
    }
}
