//! Options from the arguments, the terminal and the environment. The second of two steps: nothing after
//! it asks whether something is a terminal.

use std::{env, ffi::OsString, io::IsTerminal};

use super::{
    args::{ColorChoice, GlobalArgs},
    style::Style,
};

/// The decisions that all commands share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Options {
    /// No progress, no summary.
    pub quiet: bool,
    /// How often `-v` was given.
    pub verbose: u8,
    /// Whether stderr can hold lines that move.
    pub bars: bool,
    /// The style of stdout.
    pub stdout: Style,
    /// The style of stderr.
    pub stderr: Style,
}

/// The environment of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Surroundings {
    pub stdout_is_terminal: bool,
    pub stderr_is_terminal: bool,
    /// TERM is `dumb`: no colors, no cursor.
    pub dumb: bool,
    /// NO_COLOR is set and not empty (no-color.org).
    pub no_color: bool,
}

impl Surroundings {
    /// Those of this process.
    pub(super) fn of_process() -> Self {
        Surroundings {
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
            dumb: env::var_os("TERM").is_some_and(|term| term == "dumb"),
            no_color: env::var_os("NO_COLOR").is_some_and(|value| value != OsString::new()),
        }
    }
}

impl Options {
    /// Decides.
    pub(super) fn new(args: &GlobalArgs, around: Surroundings) -> Self {
        let color = |is_terminal: bool| match args.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => is_terminal && !around.dumb && !around.no_color,
        };
        Options {
            quiet: args.quiet,
            verbose: args.verbose,
            bars: around.stderr_is_terminal && !around.dumb && !args.quiet,
            stdout: Style { color: color(around.stdout_is_terminal) },
            stderr: Style { color: color(around.stderr_is_terminal) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMINAL: Surroundings =
        Surroundings { stdout_is_terminal: true, stderr_is_terminal: true, dumb: false, no_color: false };

    fn options(color: ColorChoice, around: Surroundings) -> Options {
        Options::new(&GlobalArgs { quiet: false, verbose: 0, color }, around)
    }

    #[test]
    fn colors_need_a_terminal_and_leave() {
        assert!(options(ColorChoice::Auto, TERMINAL).stderr.color);
        assert!(!options(ColorChoice::Auto, Surroundings { no_color: true, ..TERMINAL }).stderr.color);
        assert!(!options(ColorChoice::Auto, Surroundings { stderr_is_terminal: false, ..TERMINAL }).stderr.color);
        assert!(options(ColorChoice::Always, Surroundings { no_color: true, ..TERMINAL }).stderr.color);
        assert!(!options(ColorChoice::Never, TERMINAL).stdout.color);
    }

    #[test]
    fn bars_need_a_terminal_that_moves_its_cursor() {
        assert!(options(ColorChoice::Never, TERMINAL).bars);
        assert!(!options(ColorChoice::Auto, Surroundings { dumb: true, ..TERMINAL }).bars);
        assert!(!options(ColorChoice::Auto, Surroundings { stderr_is_terminal: false, ..TERMINAL }).bars);
        assert!(!Options::new(&GlobalArgs { quiet: true, verbose: 0, color: ColorChoice::Auto }, TERMINAL).bars);
    }
}
