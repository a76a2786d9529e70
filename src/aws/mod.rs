//! The one client layer for AWS and for servers that speak as S3 does: used by the source that is carried out, the target
//! that is restored into, and the look at the account around. What comes back is read strictly.
//!
//! | file | what it holds |
//! |---|---|
//! | `client`, `service` | configuration by the SDK's own chain, and the clients that are made from it; the services |
//! | `credentials`, `sign` | credentials with the day's signing key; signatures of requests past the SDK |
//! | `transport` | GET and HEAD of objects, on connections of its own |
//! | `call` | signed calls to services without an SDK crate here |
//! | `throttle`, `paging` | how fast a service is called about the account; lists that come in pages |
//! | `error` | what a failed call means, by what can be done about it |
//! | `response` | the body of a response beside what the SDK makes of it; one that is not whole is an error |
//! | `xml`, `encoding` | a reader that takes a document whole or not at all; percent coding |
//! | `listing`, `entry` | pages of objects and of versions, held against everything that they state about themselves |

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
