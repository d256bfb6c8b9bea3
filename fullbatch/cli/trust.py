"""`fullbatch trust`: how each system learns the local CA of the service `tls`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from fullbatch.lifecycle import local_ca

# What is done on the client, where the file has been copied to: system, then the line.
STEPS = (
    ("Debian, Ubuntu", "sudo cp {name} /usr/local/share/ca-certificates/ && sudo update-ca-certificates"),
    ("Fedora, RHEL", "sudo cp {name} /etc/pki/ca-trust/source/anchors/ && sudo update-ca-trust"),
    ("Arch", "sudo trust anchor --store {name}"),
    (
        "macOS",
        "sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {name}",
    ),
    ("Windows", "certutil -addstore -f Root {name}    (as administrator)"),
    ("Android", "Settings > Security > Encryption & credentials > Install a certificate > CA certificate"),
    ("iOS, iPadOS", "open it, install the profile; Settings > General > About > Certificate Trust Settings: on"),
    ("Firefox", "Settings > Privacy & Security > View Certificates > Authorities > Import"),
    ("Python", "export SSL_CERT_FILE=$PWD/{name}    (trusts this CA and no other)"),
    ("Node.js", "export NODE_EXTRA_CA_CERTS=$PWD/{name}"),
    ("curl", "curl --cacert {name} https://HOST:8443/livez"),
)


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """The command's options."""
    text = "Show how other machines learn the local CA that HTTPS is made with (docs/https.md)."
    trust = commands.add_parser("trust", help="how other machines learn the local CA of HTTPS", description=text)
    trust.add_argument("--file", type=Path, help="Caddy's root.crt, where it is not the one that runs here")
    trust.add_argument("--json", action="store_true", help="print JSON, for other programs")


def run(root: Path, args: argparse.Namespace) -> int:
    """Print it; the exit code."""
    sys.stdout.write(text(root, args) + "\n")
    return 0


def text(root: Path, args: argparse.Namespace) -> str:
    """What is printed."""
    found = local_ca.find(root, args.file)
    name = found.path.name
    if args.json:
        steps = {system: step.format(name=name) for system, step in STEPS}
        return json.dumps({"root": str(found.path), "sha256": found.fingerprint, "steps": steps}, indent=2)
    lines = [f"root certificate: {found.path}", f"SHA-256:          {found.fingerprint}", ""]
    lines += ["Copy it to the client, compare the fingerprint there, then:"]
    lines += [f"  {system:15} {step.format(name=name)}" for system, step in STEPS]
    return "\n".join(lines)
