#!/usr/bin/env python3
"""A time-stamp authority (RFC 3161) on a free loopback port, for scripts/demo. Standard library, and openssl as a program.

    authority.py DIR     makes a root and a signing certificate in DIR, writes DIR/url, and answers until it is ended

DIR/root.pem is what a reader trusts. A key that lies on the disk of whoever is stamped proves nothing to others.
"""

import http.server
import pathlib
import subprocess
import sys

CONFIG = """
[tsa]
default_tsa = one
[one]
serial = ./serial
signer_digest = sha256
default_policy = 1.3.6.1.4.1.99999.1
digests = sha256, sha384, sha512
ess_cert_id_alg = sha256
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[signer]
basicConstraints = critical, CA:FALSE
extendedKeyUsage = critical, timeStamping
[req]
distinguished_name = dn
[dn]
"""


def openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def certificate(folder, name, *signed_by):
    make = ["req", "-new", "-x509", "-config", "ts.cnf", "-extensions", name, "-nodes", "-newkey", "rsa:2048"]
    made = ["-days", "30", "-subj", f"/CN=walkaway demo {name}", "-keyout", f"{name}.key", "-out", f"{name}.pem"]
    openssl(folder, *make, *made, *signed_by)


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ts.cnf").write_text(CONFIG)
    (folder / "serial").write_text("01\n")
    certificate(folder, "root")
    certificate(folder, "signer", "-CA", "root.pem", "-CAkey", "root.key")

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            (folder / "query.tsq").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            reply = ["ts", "-reply", "-config", "ts.cnf", "-queryfile", "query.tsq", "-out", "answer.tsr"]
            openssl(folder, *reply, "-signer", "signer.pem", "-inkey", "signer.key")
            answer = (folder / "answer.tsr").read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Answer)
    (folder / "url.part").write_text(f"http://127.0.0.1:{server.server_port}/tsr\n")
    (folder / "url.part").rename(folder / "url")
    server.serve_forever()


if len(sys.argv) != 2:
    sys.exit(__doc__)
main(pathlib.Path(sys.argv[1]).resolve())
