//! The arguments as the user writes them: clap types and help texts. How they combine with the terminal and
//! the environment is decided in `options`.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, Subcommand, ValueEnum};

use super::size;
use crate::exit_code::ExitCode;

/// Proves that you can leave your cloud provider.
///
/// A playbook names buckets and databases. A run streams them to this machine, restores them, compares what was
/// restored with what the provider holds, and leaves a bundle of evidence that stock tools verify. Nothing of yours at
/// the provider is written or deleted.
#[derive(Debug, Parser)]
#[command(name = "walkaway", version, max_term_width = 100, subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = exit_codes())]
pub(super) struct Args {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Debug, clap::Args)]
pub(super) struct GlobalArgs {
    /// Print only results and errors: no progress, no summary
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Log more on stderr; up to three times. RUST_LOG decides when it is set
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// When to use colors. With `auto`: on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,
}

/// When to use colors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check a playbook without any connection
    ///
    /// Reports every problem at once, each with line, column and a hint.
    Check(PlaybookArg),
    /// Print the resolved playbook, as JSON
    ///
    /// Every default is filled in. References such as env:NAME stay references: no secret is printed.
    Explain(PlaybookArg),
    /// Write a first playbook from what is in the account
    ///
    /// Lists buckets and databases, and prints a playbook that covers all of them and excludes nothing.
    Init(InitArgs),
    /// Show what a run would copy; copies nothing
    ///
    /// Lists buckets and databases at the provider and counts them, and shows the coverage of the account,
    /// the account's state, and missing rights. Nothing is written there or here.
    Plan(PlanArgs),
    /// Copy, restore, compare, and write a bundle of evidence
    ///
    /// Prints one line on stdout: the bundle's path. Progress and summary go to stderr. Ctrl-C stops in order; such a
    /// run is continued by `walkaway resume`.
    Run(RunArgs),
    /// Continue a run that was interrupted or stopped
    ///
    /// What is finished is not repeated. A database whose snapshot was lost starts again.
    Resume(ResumeArgs),
    /// Remove what a run left at the provider
    ///
    /// Finds everything with the run's tag, and removes it: temporary RDS instances and snapshots of them.
    /// What a killed run was about to create may appear late: it is looked up until it can't any more. A run still in
    /// progress is not touched. Stops the managed PostgreSQL that the run left running on this machine. Nothing else is touched. A run does this
    /// itself; this is for one that was killed.
    Clean(CleanArgs),
    /// Check a bundle, offline
    ///
    /// Checks every file against the manifests, the journal's chain, and whether result, journal and evidence
    /// agree. A consistent bundle gives exit code 0 whatever the verdict of its run, and whoever
    /// made it: its signers are shown, and required with --require.
    Verify(VerifyArgs),
    /// Sign a bundle as its reviewer
    ///
    /// Checks the bundle like verify: one that verify rejects, or that no operator signed, is not signed. Shows what the
    /// signature will cover, and asks. Read the report before you sign; the signature states that you did. The key must not
    /// be the operator's.
    Approve(ApproveArgs),
    /// Regenerate the reports of a bundle, from its result, its checklist and its playbook alone
    ///
    /// The same bundle gives the same bytes. In the PDF (PDF/A-3), every page shows the digest of a sealed bundle.
    Report(ReportArgs),
    /// Print the exit plan of a playbook as a document
    ///
    /// What an auditor asks of an exit plan, and the manual steps with stock commands, made from the playbook that the
    /// drills run. Times and sizes come from the last run.
    Manual(ManualArgs),
    /// Compare runs of one playbook
    ///
    /// Rejects bundles whose scope differs; exit code 1 when coverage fell or a run got worse.
    Compare(CompareArgs),
    /// Report whether a playbook has to be run again
    ///
    /// Exit code 1 when the last passed run is older than the plan allows, or the plan's own review is past; exit code 4 when
    /// neither is so and a run that ended may have left something at the provider.
    Due(DueArgs),
    /// Print the JSON Schema of the playbook or of the result
    Schema(SchemaArgs),
    /// Check whether this machine is ready for a run
    Doctor(DoctorArgs),
    /// Print a completion script for a shell
    ///
    /// For bash: walkaway completions bash > ~/.local/share/bash-completion/completions/walkaway
    Completions(CompletionsArgs),
}

/// A playbook.
#[derive(Debug, clap::Args)]
pub(super) struct PlaybookArg {
    /// The playbook, a YAML file
    pub playbook: PathBuf,
}

/// NDJSON instead of text.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct JsonArg {
    /// Print NDJSON on stdout, one object a line
    #[arg(long)]
    pub json: bool,
}

/// `init`.
#[derive(Debug, clap::Args)]
pub(super) struct InitArgs {
    /// The profile of the AWS configuration files
    #[arg(long)]
    pub profile: Option<String>,
    /// A region in which data may be stored; can be given several times
    #[arg(long = "region", value_name = "REGION")]
    pub regions: Vec<String>,
    /// The folder that receives the data
    #[arg(long, value_name = "FOLDER", default_value = "restored/")]
    pub target: String,
    /// Write the playbook to this file, which must not exist
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `plan`.
#[derive(Debug, clap::Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    pub playbook: PlaybookArg,
    /// Print the least IAM policy that the playbook needs, and nothing else; asks the account for the keys of its buckets
    /// and databases, for 15 seconds at most
    #[arg(long)]
    pub iam_policy: bool,
    #[command(flatten)]
    pub json: JsonArg,
}

/// What a run may use of this machine.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct RunOptionsArgs {
    /// Bytes of objects that may be in memory at once
    #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = size::memory)]
    pub memory: u64,
}

/// Confirmation of what costs money.
#[derive(Debug, clap::Args)]
pub(super) struct ConfirmArg {
    /// The account in which temporary instances may be created; needed where a playbook restores RDS snapshots
    #[arg(long, value_name = "ACCOUNT")]
    pub confirm: Option<String>,
}

/// `clean`.
#[derive(Debug, clap::Args)]
pub(super) struct CleanArgs {
    /// The run's directory, as `walkaway run` printed it
    pub run: PathBuf,
    /// How long to look for what the run was about to create and may appear, such as 90s or 6m. Less leaves it, with
    /// exit code 4
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = size::time)]
    pub wait: Duration,
}

/// `run`.
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub playbook: PlaybookArg,
    #[command(flatten)]
    pub confirm: ConfirmArg,
    #[command(flatten)]
    pub options: RunOptionsArgs,
    #[command(flatten)]
    pub json: JsonArg,
}

/// `resume`.
#[derive(Debug, clap::Args)]
pub(super) struct ResumeArgs {
    /// The run's directory, as `walkaway run` printed it
    pub run: PathBuf,
    /// Do no more work: seal the run as it is; what was not done is NOT RUN
    #[arg(long)]
    pub seal: bool,
    /// Read and compare again what finished assets restored; otherwise only its existence and size are checked
    #[arg(long)]
    pub verify: bool,
    #[command(flatten)]
    pub confirm: ConfirmArg,
    #[command(flatten)]
    pub options: RunOptionsArgs,
    #[command(flatten)]
    pub json: JsonArg,
}

/// `verify`.
#[derive(Debug, clap::Args)]
pub(super) struct VerifyArgs {
    /// The bundle's directory
    #[arg(required_unless_present = "print_script")]
    pub bundle: Option<PathBuf>,
    #[command(flatten)]
    pub trust: TrustArgs,
    /// What must hold beside consistency, or else the exit code is 1: an allowed operator's signature, an allowed
    /// reviewer's, a trusted time-stamp on every signature
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WHAT")]
    pub require: Vec<Required>,
    /// Also read the restored data again, on disk and in the target database, and compare it with the bundle
    #[arg(long)]
    pub restored: bool,
    /// Print the program that checks a bundle without walkaway, or the one that recomputes the digests of tables
    #[arg(long, value_enum, value_name = "SCRIPT", num_args = 0..=1, require_equals = true,
          default_missing_value = "verify", conflicts_with = "bundle")]
    pub print_script: Option<Script>,
    #[command(flatten)]
    pub json: JsonArg,
}

/// A reader's roots of trust.
#[derive(Debug, clap::Args)]
pub(super) struct TrustArgs {
    /// Who may sign: an allowed_signers file as ssh-keygen reads it, from outside the bundle. The operator's signature
    /// is then required
    #[arg(long, value_name = "FILE")]
    pub allowed_signers: Option<PathBuf>,
    /// Root certificates of trusted time-stamp authorities in PEM, from outside the bundle. Time-stamps are then required
    #[arg(long, value_name = "FILE")]
    pub tsa_ca: Option<PathBuf>,
    /// The bundle of the previous run, if it is not beside this one
    #[arg(long, value_name = "BUNDLE")]
    pub previous: Option<PathBuf>,
}

/// What a reader may require.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Required {
    /// Signed by an allowed operator
    Signed,
    /// Signed by an allowed reviewer
    Reviewed,
    /// Stamped by a trusted authority
    Stamped,
}

/// A program that checks without walkaway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Script {
    /// A whole bundle
    Verify,
    /// The tables of a restored database
    TableDigest,
}

/// `approve`.
#[derive(Debug, clap::Args)]
pub(super) struct ApproveArgs {
    /// The bundle's directory
    pub bundle: PathBuf,
    /// Your OpenSSH key; a public or encrypted one is used through ssh-agent
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Address of a time-stamp authority; by default the one that the playbook names
    #[arg(long, value_name = "URL")]
    pub timestamp: Option<String>,
    #[command(flatten)]
    pub trust: TrustArgs,
    /// Sign without asking
    #[arg(long)]
    pub yes: bool,
}

/// `report`.
#[derive(Debug, clap::Args)]
pub(super) struct ReportArgs {
    /// The bundle's directory
    pub bundle: PathBuf,
    /// Where the reports go; by default a new directory here
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// `manual`.
#[derive(Debug, clap::Args)]
pub(super) struct ManualArgs {
    #[command(flatten)]
    pub playbook: PlaybookArg,
    /// The bundle whose times and sizes are shown; by default the latest of this playbook
    #[arg(long, value_name = "BUNDLE")]
    pub bundle: Option<PathBuf>,
    /// Write Markdown to a file
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write PDF/A-3 to a file, with the playbook and the Markdown attached
    #[arg(long, value_name = "FILE")]
    pub pdf: Option<PathBuf>,
}

/// `compare`.
#[derive(Debug, clap::Args)]
pub(super) struct CompareArgs {
    /// The bundles' directories
    #[arg(required = true, num_args = 2..)]
    pub bundles: Vec<PathBuf>,
    #[command(flatten)]
    pub json: JsonArg,
}

/// `due`.
#[derive(Debug, clap::Args)]
pub(super) struct DueArgs {
    #[command(flatten)]
    pub playbook: PlaybookArg,
    /// Print a systemd service and timer that run the drill when it is due
    #[arg(long)]
    pub timer: bool,
    /// Let a run of a sample count
    #[arg(long)]
    pub samples: bool,
}

/// `schema`.
#[derive(Debug, clap::Args)]
pub(super) struct SchemaArgs {
    /// Which schema
    #[arg(value_enum, default_value_t = SchemaOf::Playbook)]
    pub of: SchemaOf,
}

/// Which schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum SchemaOf {
    /// The playbook
    Playbook,
    /// The bundle's result.json
    Result,
}

/// `doctor`.
#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    /// Also check what this playbook needs
    pub playbook: Option<PathBuf>,
    #[command(flatten)]
    pub json: JsonArg,
}

/// `completions`.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

fn exit_codes() -> String {
    let lines: Vec<String> = ExitCode::ALL.iter().map(|code| format!("  {code}")).collect();
    format!("Exit codes:\n{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_help_lists_every_exit_code() {
        let help = Args::command().render_long_help().to_string();
        assert!(ExitCode::ALL.iter().all(|code| help.contains(&format!("\n  {code}"))), "{help}");
    }
}
