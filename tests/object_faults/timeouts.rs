//! Bodies that stall, and limits of memory that are smaller than what is carried.

use std::time::Duration;

use walkaway::transfer::objects::{Budget, Timeouts};

use super::{Drill, Fault, LARGE, MEDIUM, SMALL};

const OBJECTS: [(&str, usize); 3] = [("large", LARGE), ("medium", MEDIUM), ("small", SMALL)];

#[test]
fn a_body_that_stalls_is_taken_up_again() {
    let mut drill = Drill::new(&OBJECTS, |open| match open.attempt {
        1 => Fault::Hangs { after: 0 },
        2 => Fault::Hangs { after: 12_345 },
        _ => Fault::None,
    });
    drill.timeouts = Timeouts { silence: Duration::from_millis(200), ..Timeouts::default() };
    drill.everything_arrives();
}

#[test]
fn a_body_that_trickles_has_stalled() {
    let mut drill = Drill::new(&[("medium", MEDIUM)], |open| match open.attempt {
        1 => Fault::Trickles,
        _ => Fault::None,
    });
    let silence = Duration::from_millis(300);
    drill.timeouts = Timeouts { silence, pace_bytes_min: 1 << 30, ..Timeouts::default() };
    drill.everything_arrives();
}

#[test]
fn little_memory_is_slow_and_never_stuck() {
    let mut drill = Drill::new(&OBJECTS, |open| match open.dice % 5 {
        0 if open.attempt < 3 => Fault::Ends { after: open.dice as usize % 9_999 },
        _ => Fault::None,
    });
    drill.budget = Budget::new(1 << 20);
    drill.everything_arrives();
}
