//! What answers of an S3 server say, read strictly. Shared by the source that is carried out and the target that is
//! restored into.
//!
//! | file | what it holds |
//! |---|---|
//! | `answer` | the body of an answer beside what the SDK makes of it; an answer that is not whole is an error |
//! | `xml` | a reader that takes a document whole or not at all |
//! | `keys` | keys as listings encode them |
//! | `listing` | pages of objects and of versions, held against everything that they state about themselves |
//! | `entry` | one object or version of a page |

pub mod answer;
mod entry;
pub mod keys;
pub mod listing;
pub mod xml;
