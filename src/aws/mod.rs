//! The one client layer for AWS and for S3-compatible servers: used by the source that is read, the target
//! that is restored into, and the inspection of the account. Responses are parsed strictly.
//!
//! | file | what it holds |
//! |---|---|
//! | `client`, `service` | configuration by the SDK's own chain, and the clients that are built from it; the services |
//! | `credentials`, `sign` | credentials with the day's signing key; signatures of requests outside of the SDK |
//! | `transport` | GET and HEAD of objects, on connections of its own |
//! | `call` | signed calls to services without an SDK crate here |
//! | `throttle`, `paging` | rate limits of calls about the account; paged lists |
//! | `error` | what a failed call means, by what can be done about it |
//! | `response` | the raw body of a response beside the SDK's value; an incomplete one is an error |
//! | `xml`, `encoding` | a reader that accepts only complete documents; percent coding |
//! | `listing`, `entry` | pages of objects and of versions, compared with everything that they state about themselves |

pub(crate) mod call;
pub mod client;
mod credentials;
pub(crate) mod encoding;
pub(crate) mod entry;
pub(crate) mod error;
pub mod listing;
pub(crate) mod paging;
pub(crate) mod response;
mod service;
mod sign;
mod throttle;
pub(crate) mod transport;
pub mod xml;
