"""`fullbatch trust`."""

from __future__ import annotations

import argparse
import json
import ssl
from pathlib import Path

from fullbatch.cli import trust

PEM = ssl.DER_cert_to_PEM_cert(b"\x30\x03\x02\x01\x01")


def test_it_says_path_fingerprint_and_a_line_for_each_system(tmp_path: Path) -> None:
    (tmp_path / "root.crt").write_text(PEM)
    said = trust.text(tmp_path, argparse.Namespace(file=tmp_path / "root.crt", json=False))
    assert str(tmp_path / ".fullbatch/trust/fullbatch-root.crt") in said
    for word in ("update-ca-certificates", "update-ca-trust", "add-trusted-cert", "certutil", "SSL_CERT_FILE=$PWD/",
                 "NODE_EXTRA_CA_CERTS=$PWD/", "Android", "iOS", "Firefox"):  # fmt: skip
        assert word in said
    assert "{" not in said
    machine = json.loads(trust.text(tmp_path, argparse.Namespace(file=tmp_path / "root.crt", json=True)))
    assert machine["sha256"] in said and set(machine["steps"]) == {system for system, _ in trust.STEPS}
