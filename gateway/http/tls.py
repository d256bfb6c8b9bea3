"""TLS to other boxes: contexts, and what went wrong in words that say what to do. Engines on this box need none."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import lru_cache

# OpenSSL's numbers (X509_V_ERR_…) -> what a person is told.
_FAULTS = {
    9: "its certificate is not valid yet; compare the clocks of both boxes",
    10: "its certificate has expired",
    18: "its certificate is signed by itself and not by a CA that is known here",
    19: "its certificate is signed by a CA that is not known here",
    20: "its certificate is signed by a CA that is not known here",
    21: "its certificate is signed by a CA that is not known here",
    62: "its certificate is for another name",
    64: "its certificate is for another address",
}


@dataclass(frozen=True, slots=True)
class Tls:
    """How to connect: ``name`` is what the certificate has to be for."""

    context: ssl.SSLContext
    name: str


@lru_cache(maxsize=64)
def context(ca: str | None) -> ssl.SSLContext:
    """A client's context; one for each CA, so that connections resume their sessions.

    Args:
        ca: certificates as PEM; None is what this machine trusts.

    Raises:
        ValueError: they are none.
    """
    try:
        made = ssl.create_default_context(cadata=ca)
    except (ssl.SSLError, ValueError):
        raise ValueError("holds no certificate; write PEM, which begins with -----BEGIN CERTIFICATE-----") from None
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    return made


def fault(error: OSError) -> str:
    """What an error of TLS says; empty for any other."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _FAULTS.get(error.verify_code, f"its certificate is not to be trusted ({error.verify_message})")
    if isinstance(error, ssl.SSLError):
        return f"it does not speak TLS as it should ({error.reason or 'no reason given'})".lower()
    return ""
