//! What this machine reports about itself: firmware, hypervisor, cloud-init traces and, optionally, the metadata service.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

use crate::account::machine::{Machine, SILENT};

/// Where the kernel exposes the firmware's strings.
const FIRMWARE: &str = "sys/class/dmi/id";
const WORDS: [&str; 7] = [
    "sys_vendor",
    "product_name",
    "product_version",
    "board_vendor",
    "bios_vendor",
    "bios_version",
    "chassis_asset_tag",
];
/// What cloud-init and the agents of providers leave behind.
const TRACES: [&str; 7] = [
    "run/cloud-init/instance-data.json",
    "var/lib/cloud/instance",
    "etc/cloud/cloud.cfg",
    "etc/amazon/ssm",
    "etc/google_instance_id",
    "var/lib/waagent",
    "etc/oracle-cloud-agent",
];
/// The metadata service of nearly all clouds.
const METADATA: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80);
const METADATA_TIMEOUT: Duration = Duration::from_secs(2);
const TEXT_BYTES_MAX: u64 = 4_096;

/// Inspects the machine that walkaway runs on.
pub(crate) fn machine_here(ask_metadata: bool) -> Machine {
    let metadata = ask_metadata.then(|| metadata_service(METADATA));
    Machine { metadata_service: metadata, ..machine_at(Path::new("/")) }
}

fn machine_at(root: &Path) -> Machine {
    let mut machine = Machine::default();
    for word in WORDS {
        match text(&root.join(FIRMWARE).join(word)) {
            Ok(text) if !text.is_empty() => {
                machine.firmware.insert(word.to_owned(), text);
            }
            Ok(_) => {}
            Err(error) => machine.unreadable.push(format!("{FIRMWARE}/{word}: {error}")),
        }
    }
    machine.hypervisor = text(&root.join("sys/hypervisor/type")).ok().or_else(|| {
        let cpu = text(&root.join("proc/cpuinfo")).unwrap_or_default();
        let flags = cpu.lines().find(|line| line.starts_with("flags"))?.to_owned();
        flags.split_whitespace().any(|flag| flag == "hypervisor").then(|| "some (the CPU says so)".to_owned())
    });
    // Both are world-readable where they exist; where they do not, the machine has none.
    machine.hypervisor_id = text(&root.join("sys/hypervisor/uuid")).ok().filter(|id| !id.is_empty());
    machine.cloud_source = text(&root.join("run/cloud-init/cloud-id")).ok().filter(|source| !source.is_empty());
    let there = TRACES.iter().filter(|trace| fs::symlink_metadata(root.join(trace)).is_ok());
    machine.traces = there.map(|trace| format!("/{trace}")).collect();
    machine
}

fn text(path: &Path) -> std::io::Result<String> {
    let mut text = Vec::new();
    fs::File::open(path)?.take(TEXT_BYTES_MAX).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).trim().to_owned())
}

/// Whether anything answers one short request; a refused connection counts as an answer too.
fn metadata_service(address: SocketAddr) -> String {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, METADATA_TIMEOUT)?;
        stream.set_read_timeout(Some(METADATA_TIMEOUT))?;
        stream.write_all(b"GET / HTTP/1.0\r\nHost: 169.254.169.254\r\n\r\n")?;
        let mut line = [0; 32];
        let read = stream.read(&mut line)?;
        let line = String::from_utf8_lossy(&line[..read]).into_owned();
        Ok(line.split(['\r', '\n']).next().unwrap_or_default().to_owned())
    };
    match ask() {
        Ok(line) if line.starts_with("HTTP/") => line,
        _ => SILENT.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_read_from_its_files() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("sys/class/dmi/id/sys_vendor", "Amazon EC2\n");
        write("proc/cpuinfo", "processor: 0\nflags\t: fpu hypervisor\n");
        write("run/cloud-init/instance-data.json", "{}");
        write("run/cloud-init/cloud-id", "aws\n");
        write("sys/hypervisor/uuid", "ec2e1916-9099-7caf-fd21-012345abcdef\n");
        let machine = machine_at(root.path());
        assert_eq!(machine.firmware["sys_vendor"], "Amazon EC2");
        assert_eq!(machine.traces, ["/run/cloud-init/instance-data.json"]);
        assert!(machine.hypervisor.is_some() && machine.hypervisor_id.as_deref().unwrap().starts_with("ec2"));
        assert_eq!(machine.cloud_source.as_deref(), Some("aws"));
        assert_eq!(machine.unreadable.len(), WORDS.len() - 1);
        assert_eq!(machine.conclusion().in_cloud, Some(true));
    }

    #[test]
    fn the_metadata_service_answers_or_is_silent() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"HTTP/1.1 401 Unauthorized\r\n\r\n").unwrap();
        });
        assert_eq!(metadata_service(address), "HTTP/1.1 401 Unauthorized");
        server.join().unwrap();
        assert_eq!(metadata_service(address), SILENT);
    }
}
