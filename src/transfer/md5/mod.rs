//! MD5 (RFC 1321), which S3 uses for entity tags: of one stream, and of many at once.
//!
//! It protects nothing here. It is the provider's only checksum of objects put before checksums became the default, and
//! at half a gigabyte a second it would take more of the processor than everything else: so streams share vectors.

mod block;
mod multi_buffer;
mod single;

pub(super) use multi_buffer::Md5Stream;
pub use multi_buffer::MultiBufferMd5;
pub(super) use single::Md5;
