//! Readers of what others wrote, given broken input: whatever the bytes, they answer; none panics, and what each promises
//! holds. `mutate` breaks good inputs; `targets` and `objects` are the readers.
//!
//! `cargo test` runs every kept input and a fixed number of broken ones, the same each time. A longer search with other
//! numbers, half an hour for every reader, as many side by side as there are cores:
//!
//! ```text
//! WALKAWAY_FUZZ_SECONDS=1800 cargo test --locked --test suite fuzz:: -- --nocapture
//! ```
//!
//! `fuzz::targets::playbooks` in place of `fuzz::` searches one. (nextest ends a test after fifteen minutes.) Each reader says
//! how many inputs it had and how many answers it gave. An input that fails is kept in `tests/fuzz/corpus`, and the others go
//! on; the one at hand lies beside it as `running` until it is done, should the process end with it.
//!
//! Not bolero: under plain `cargo test` it makes inputs at random and does not break the good ones it has, its guided
//! search needs all dependencies built anew with instruments, and it brings twelve crates. Here an input whose answer is
//! new is kept and broken further, which leads about as far for formats with readable refusals.

mod mutate;
mod objects;
mod targets;
