//! Databases on RDS: moto answers for the provider's API, a real PostgreSQL with TLS stands behind it, reached `via` a
//! port of this machine as one would through a tunnel.

mod account;
mod export;
mod export_new;
mod ldap;
mod live;
mod provider;
mod signals;
mod snapshot;
