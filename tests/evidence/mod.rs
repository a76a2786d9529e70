//! The evidence of a run as others see it: signatures, time-stamps, the chain of runs, reports, and the stock tools
//! that check them.

mod auditor;
mod authority;
mod first_page;
mod forger;
mod paper;
mod privacy;
mod reports;
mod signatures;
mod stock;
