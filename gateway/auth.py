"""Header -> Principal, in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from gateway.call import Principal
from gateway.errors import Unauthorized

_HOW = "send a key from the key file as 'Authorization: Bearer KEY' or 'x-api-key: KEY'"


class Auth:
    """Knows the keys only as SHA-256 digests. A key of the key file is named after its digest's first 8 hex digits."""

    def __init__(self, keys: Iterable[bytes]) -> None:
        digests = [hashlib.sha256(key).digest() for key in keys]
        self._known = [(digest, Principal(digest.hex()[:8])) for digest in digests]

    def principal(self, authorization: bytes | None, x_api_key: bytes | None) -> Principal:
        """Compare with every key, always all of them, so that time says nothing about which was near.

        Raises:
            Unauthorized: no key was sent, or not one of ours.
        """
        key = _bearer(authorization) or x_api_key
        if not key:
            raise Unauthorized(f"no API key; {_HOW}")
        digest = hashlib.sha256(key).digest()
        found: Principal | None = None
        for known, principal in self._known:
            if hmac.compare_digest(known, digest):
                found = principal
        if found is None:
            raise Unauthorized(f"this API key is not known here; {_HOW}")
        return found


def _bearer(authorization: bytes | None) -> bytes | None:
    if authorization is None:
        return None
    scheme, _, key = authorization.strip().partition(b" ")
    return key.strip() if scheme.lower() == b"bearer" else None
