//! The binary: passes the arguments to [`walkaway::cli`] and returns its exit code.

fn main() -> std::process::ExitCode {
    walkaway::cli::main(std::env::args_os()).into()
}
