//! Databases under way: large tables in parts, limits of the source, what happens when a server, a connection or the
//! snapshot is lost in the middle, and how closely a difference is named.

mod beside;
mod canary;
mod constraints;
mod damage;
mod disk;
mod elsewhere;
mod encodings;
mod extensions;
mod faults;
mod hostile;
mod left_behind;
mod left_out;
mod limits;
mod poolers;
mod privileged;
mod proof;
mod published;
mod relay;
mod standby;
mod tls;
mod unopened;
