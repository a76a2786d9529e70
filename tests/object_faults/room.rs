//! `target.free_space`: a target without room for what the listing promises is refused before a byte moves.

use std::{collections::HashMap, fs};

use serde_json::Value;

use crate::object_faults::{
    provider::{Act, Beside},
    wire::World,
};

const WANTED: &str = "preconditions: [target.free_space]\n";

/// A bucket of which one object is said to have so many bytes.
fn promising(bytes: Option<u64>) -> World {
    let sizes = bytes.map(|bytes| ("huge", bytes)).into_iter().collect::<HashMap<_, _>>();
    World::described(&["huge", "small"], Beside { sizes, ..Beside::default() }, ["", WANTED], |_| Act::Serve)
}

#[test]
fn a_target_without_room_is_refused_with_numbers_before_a_byte_moves() {
    // Nearly the most that an object can have.
    let world = promising(Some(45 << 40));
    let ended = world.run().expect(2);
    for words in ["target.free_space", "are free at", "45 TiB", "a reserve of 20 %"] {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
    assert!(world.provider.asked().is_empty(), "an object was read");
    assert!(world.drill.runs().is_empty(), "a run was begun");
    let plan = world.drill.end(&["plan", &world.drill.join("playbook.yaml").to_string_lossy()]);
    assert!(format!("{}{}", plan.stdout, plan.stderr).contains("target.free_space"), "{plan:?}");
}

#[test]
fn a_target_with_room_says_how_much() {
    let world = promising(None);
    world.run().expect(0);
    let check = fs::read(world.drill.bundle().join("data/checks/identity.json")).unwrap();
    let check: Value = serde_json::from_slice(&check).unwrap();
    let held = &check["preconditions"][0];
    assert_eq!((&held["precondition"], &held["holds"]), (&"target.free_space".into(), &true.into()));
    assert!(held["because"].as_str().unwrap().contains("are free at"), "{held:#}");
    world.drill.verify().expect(0);
}
