//! Time-stamps (RFC 3161): an authority's signed statement that a signature existed at a time.
//!
//! | file | what it does |
//! |---|---|
//! | `der` | the little of DER (ITU-T X.690) that requests and answers need |
//! | `token` | reads a response, and checks it against the authority's certificate |
//! | `certificate` | what is required of certificates around a time-stamp |
//! | `fetch` | queries an authority over HTTP |
//! | `unstamped` | the statement in place of a stamp |

mod certificate;
mod der;
mod fetch;
mod token;
mod unstamped;

pub use fetch::{TimestampError, fetch};
pub use token::{Authorities, Stamp, TokenError};
pub use unstamped::own_time;
pub(crate) use unstamped::read_own_time;
