//! Every exit code and its meaning. Nothing else decides one.

use std::fmt;

/// The exit status of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Everything in scope was compared and agrees.
    Verified = 0,
    /// A comparison found a discrepancy, or a threshold was missed.
    Finding = 1,
    /// Something in scope could not be compared, or the run could not start.
    NotVerified = 2,
    /// The playbook or the command line is not valid.
    Invalid = 3,
    /// Clean-up left something behind.
    LeftBehind = 4,
    /// Interrupted in an orderly way; the run can be resumed.
    Interrupted = 5,
}

impl ExitCode {
    /// All codes in ascending order, for the help text and the documentation test.
    pub const ALL: [ExitCode; 6] = [
        ExitCode::Verified,
        ExitCode::Finding,
        ExitCode::NotVerified,
        ExitCode::Invalid,
        ExitCode::LeftBehind,
        ExitCode::Interrupted,
    ];

    /// The meaning in a few words, as printed by the help text and the README.
    pub fn meaning(self) -> &'static str {
        match self {
            ExitCode::Verified => "verified",
            ExitCode::Finding => "a finding or a missed threshold",
            ExitCode::NotVerified => "could not verify (something NOT RUN)",
            ExitCode::Invalid => "invalid playbook or usage",
            ExitCode::LeftBehind => "clean-up left something behind",
            ExitCode::Interrupted => "interrupted, can be resumed",
        }
    }

    /// The number returned to the shell.
    pub fn number(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for ExitCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number(), self.meaning())
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        std::process::ExitCode::from(code.number())
    }
}
