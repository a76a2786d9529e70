//! Readers of what others wrote, given broken input: whatever the bytes, they answer; none panics, and what each promises
//! holds. `mutate` breaks good inputs; `targets` and `objects` are the readers.
//!
//! `cargo test` runs every kept input and a fixed number of broken ones, the same each time. For a longer search with other
//! numbers: `WALKAWAY_FUZZ_SECONDS=1800 cargo test --test suite -- --exact fuzz::targets::playbooks --nocapture`
//! (nextest ends a test after ten minutes). An input that fails is kept in `tests/fuzz/corpus`; the one at hand lies beside it as `running` until it is done, should the process end with it.
//!
//! Not bolero: under plain `cargo test` it makes inputs at random and does not break the good ones it has, its guided
//! search needs all dependencies built anew with instruments, and it brings twelve crates. Here an input whose answer is
//! new is kept and broken further, which leads about as far for formats with readable refusals.

mod mutate;
mod objects;
mod targets;
