//! The printed policy where it is enforced: whatever action is missing, the plan names it.

use std::fs;

use crate::account::world::World;

const PLAYBOOK: &str = "assets: [{id: invoices, s3: {bucket: acme-invoices}}]\nposture: [residency, encryption, \
                        public_access, orphan_snapshots, protection, credentials]\npostconditions: [source_unchanged]\n";

/// Actions that no answer of moto's depends on, or of calls that only a run makes.
const ELSEWHERE: &[&str] = &[];

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn whatever_action_of_the_printed_policy_is_missing_the_plan_names_it() {
    let printed = World::at("http://127.0.0.1:1");
    printed.playbook(PLAYBOOK);
    let policy = printed.command(&["plan", "--iam-policy", "drill.yaml"]).output().unwrap();
    let path = printed.home.join("policy.json");
    fs::write(&path, policy.stdout).unwrap();
    let world = World::of(&format!("rights:{}", path.display()));
    world.playbook(PLAYBOOK);
    let keys = fs::read(printed.home.join("policy.json.keys")).unwrap();
    let keys: Vec<[String; 3]> = serde_json::from_slice(&keys).unwrap();
    assert!(keys.len() > 30, "{keys:?}");
    let mut wrong = Vec::new();
    for [missing, id, secret] in &keys {
        let mut command = world.command(&["plan", "drill.yaml"]);
        command.env("AWS_ACCESS_KEY_ID", id).env("AWS_SECRET_ACCESS_KEY", secret);
        let output = command.output().unwrap();
        let told = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        let is_right = match missing.as_str() {
            "" => !keys.iter().any(|[action, ..]| !action.is_empty() && told.contains(action.as_str())),
            action => told.contains(action) != ELSEWHERE.contains(&action),
        };
        if !is_right {
            wrong.push(format!("without {missing:?}: {told}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "{}", wrong.concat());
}
