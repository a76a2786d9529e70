//! Every test that runs the crate from outside, as one program: it is linked once, and what the tests share is compiled once.

mod support;

mod account;
mod architecture;
mod bad_world;
mod cli_help;
mod completeness;
mod contract_objects;
mod contract_rows;
mod damage;
mod damage_bundle;
mod database;
mod drill;
mod evidence;
mod fuzz;
mod hostile;
mod majors;
mod object_faults;
mod objects;
mod playbook_messages;
mod rds;
mod regression;
mod resume;
mod rights;
mod seams;
