//! The command line: arguments, one short function per command, the terminal.
//!
//! Results go to stdout, everything for the person to stderr. Decides nothing about verdicts; exit codes come from the
//! engine's outcome.
//!
//! | file | what it does |
//! |---|---|
//! | `args`, `options` | the arguments as written; what follows with terminal and environment |
//! | `account` | coverage as text |
//! | `check`, `explain`, `init`, `plan`, `run`, `clean`, `verify`, `approve`, `report` (with manual), `history` (with compare and due), `schema`, `doctor`, `completions` | a command each |
//! | `console` | stdout and stderr, and the bars' place between the lines |
//! | `terminal`, `bars`, `plain`, `ndjson` | the monitors |
//! | `story`, `pace` | facts as lines; rates and intervals |
//! | `summary`, `compared`, `endorse`, `failure` | how a run ended; what was compared; who signed; errors and hints |
//! | `style`, `table` | colors, numbers, columns |
//! | `work`, `logging` | the runtime and the signals; the log |

use std::ffi::OsString;

use clap::Parser;

use crate::{exit_code::ExitCode, record::EngineError};

mod account;
mod approve;
mod args;
mod bars;
mod check;
mod clean;
mod compared;
mod completions;
mod console;
mod doctor;
mod endorse;
mod explain;
mod failure;
mod history;
mod init;
mod logging;
mod ndjson;
mod options;
mod pace;
mod plain;
mod plan;
mod report;
mod run;
#[cfg(test)]
mod sample;
mod schema;
mod size;
mod story;
mod style;
mod summary;
mod table;
mod terminal;
mod verify;
mod work;

use args::{Args, Command};
use console::Console;
use options::{Options, Surroundings};

/// Runs the command line and returns the exit status of the process.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(answer) => return answer_without_work(&answer),
    };
    let console = Console::new(Options::new(&args.global, Surroundings::of_process()));
    logging::start(&console);
    let code = dispatch(&console, &args.command).unwrap_or_else(|error| fail(&console, &error));
    finish(&console, code)
}

/// Help, the version, or an error in the arguments. If it cannot be printed, there is nothing left to do.
fn answer_without_work(answer: &clap::Error) -> ExitCode {
    let _ = answer.print();
    if answer.use_stderr() { ExitCode::Invalid } else { ExitCode::Verified }
}

fn dispatch(console: &Console, command: &Command) -> Result<ExitCode, EngineError> {
    match command {
        Command::Check(args) => check::check(console, args),
        Command::Explain(args) => explain::explain(console, args),
        Command::Init(args) => init::init(console, args),
        Command::Plan(args) => plan::plan(console, args),
        Command::Run(args) => run::run(console, args),
        Command::Resume(args) => run::resume(console, args),
        Command::Clean(args) => clean::clean(console, args),
        Command::Verify(args) => verify::verify(console, args),
        Command::Approve(args) => approve::approve(console, args),
        Command::Report(args) => report::report(console, args),
        Command::Manual(args) => report::manual(console, args),
        Command::Compare(args) => history::compare(console, args),
        Command::Due(args) => history::due(console, args),
        Command::Schema(args) => schema::schema(console, args),
        Command::Doctor(args) => doctor::doctor(console, args),
        Command::Completions(args) => completions::completions(console, args),
    }
}

fn fail(console: &Console, error: &EngineError) -> ExitCode {
    console.screen.lines(&failure::lines(console.options.stderr, error));
    error.exit_code()
}

/// A result that could not be printed is not a success.
fn finish(console: &Console, code: ExitCode) -> ExitCode {
    let Some(error) = console.out.error() else { return code };
    console.screen.lines(&failure::pair(console.options.stderr, &format!("cannot write to stdout: {error}"), None));
    if code == ExitCode::Verified { ExitCode::NotVerified } else { code }
}
