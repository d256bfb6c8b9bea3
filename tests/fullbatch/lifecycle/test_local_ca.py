"""The root certificate of the local CA, found and kept."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path

import pytest

from fullbatch.core.errors import StateError, UsageError
from fullbatch.lifecycle import local_ca
from fullbatch.runtime import registry
from fullbatch.runtime.process.runtime import CADDY_DATA

# The host's own: any certificate will do.
PEM = ssl.DER_cert_to_PEM_cert(b"\x30\x03\x02\x01\x01")


@pytest.fixture(autouse=True)
def _no_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of another test's: a stack with HTTPS may run on this machine."""
    for runtime in registry.RUNTIMES:
        if runtime.name == "compose":
            monkeypatch.setattr(type(runtime), "local_ca", lambda *_: "")


def test_that_of_a_caddy_beside_processes_is_found_and_copied(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="docker compose --profile tls up"):
        local_ca.find(tmp_path)
    file = tmp_path / CADDY_DATA / "pki/authorities/local/root.crt"
    file.parent.mkdir(parents=True)
    file.write_text(PEM)
    found = local_ca.find(tmp_path)
    assert found.path == tmp_path / local_ca.FILE and found.path.read_text() == PEM
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(PEM.strip())).hexdigest()
    assert found.fingerprint.replace(":", "").lower() == digest and len(found.fingerprint) == 95


def test_a_file_that_is_no_certificate_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("no")
    for name, why in (("a", "is no certificate"), ("none", "cannot be read")):
        with pytest.raises(UsageError, match=why) as caught:
            local_ca.find(tmp_path, tmp_path / name)
        assert str(caught.value).count("\n") == 0
    assert not (tmp_path / local_ca.FILE).exists()
