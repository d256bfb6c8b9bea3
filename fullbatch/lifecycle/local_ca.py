"""The local CA of the service `tls`: its root certificate, kept where a person finds it."""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass
from pathlib import Path

from fullbatch.core.errors import StateError, UsageError
from fullbatch.runtime import registry

FILE = Path(".fullbatch/trust/fullbatch-root.crt")


@dataclass(frozen=True)
class RootCertificate:
    """``path``: the file that clients learn. ``fingerprint``: SHA-256, as their dialogs show it."""

    path: Path
    fingerprint: str


def find(root: Path, given: Path | None = None) -> RootCertificate:
    """The root certificate that Caddy has made here, or of a file, copied to `FILE`.

    Raises:
        StateError: there is none yet. UsageError: the file is no certificate.
    """
    pem = _read(given) if given else _of_what_runs(root)
    try:
        der = ssl.PEM_cert_to_DER_cert(pem.strip())
    except ValueError:
        raise UsageError(
            f"{given or 'the root certificate'}: is no certificate in PEM; give Caddy's root.crt"
        ) from None
    target = root / FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(pem.strip() + "\n", encoding="ascii")
    digest = hashlib.sha256(der).hexdigest().upper()
    return RootCertificate(target, ":".join(digest[at : at + 2] for at in range(0, len(digest), 2)))


def _of_what_runs(root: Path) -> str:
    for runtime in registry.RUNTIMES:
        if pem := runtime.local_ca(root):
            return pem
    raise StateError(
        "no local CA here; start one with FULLBATCH_TLS=local: docker compose --profile tls up -d (docs/https.md)"
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror or str(error)).lower() if isinstance(error, OSError) else "not text"
        raise UsageError(f"{path}: cannot be read ({why}); give Caddy's root.crt") from None
