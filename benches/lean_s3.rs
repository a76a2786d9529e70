//! A lean S3 server, for measuring clients: it holds one read-only bucket in memory and costs little CPU itself.
//!
//! `lean_s3 --port 0 --set L|M|S|none [--count N] [--size BYTES]` says `listening on http://127.0.0.1:PORT` and serves the bucket `bench` until it is
//! killed. The sets are those of `scripts/standins/fill_bucket.py`: the same keys and sizes, other bytes. Requests must
//! be signed with any access key and the secret `walkaway-test-secret`. Nothing can be written.

mod lean;

use std::{io::Write as _, net::Ipv4Addr};

use clap::{Parser, ValueEnum};
use tokio::net::TcpListener;

use lean::{Bucket, serve, sets};

const BUCKET: &str = "bench";
const MIB: u64 = 1 << 20;

/// Serves the bucket `bench` from memory until it is killed.
#[derive(Parser)]
struct Arguments {
    /// The port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// What the bucket holds.
    #[arg(long, value_enum, default_value_t = Set::None, ignore_case = true)]
    set: Set,
    /// Another number of objects than the set has.
    #[arg(long)]
    count: Option<u64>,
    /// Other bytes of each object than the set has.
    #[arg(long)]
    size: Option<u64>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Set {
    /// 4 × 512 MiB
    L,
    /// 64 × 16 MiB
    M,
    /// 20,000 × 16 KiB
    S,
    /// Nothing
    None,
}

impl Set {
    /// Number of objects, and bytes of each.
    fn shape(self) -> (u64, u64) {
        match self {
            Set::L => (4, 512 * MIB),
            Set::M => (64, 16 * MIB),
            Set::S => (20_000, MIB / 64),
            Set::None => (0, 0),
        }
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    let (count, size) = arguments.set.shape();
    let objects = sets::objects(arguments.count.unwrap_or(count), arguments.size.unwrap_or(size));
    let bucket = Bucket::new(BUCKET, objects);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port)).await?;
    let address = listener.local_addr()?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "listening on http://{address}")?;
    stdout.flush()?;
    serve(listener, bucket).await
}
