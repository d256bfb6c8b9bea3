"""Check whether the gateway answers: the health check of its container. Exit code 0: yes; 1: no.

Asks /livez, so that a gateway whose engines are still loading counts as well; ``--ready`` asks /health instead.
"""

from __future__ import annotations

import argparse
import http.client
import sys
from urllib.parse import urlsplit

TIMEOUT_S = 3.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m gateway.probe", description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="the gateway (default: http://127.0.0.1:8080)")
    parser.add_argument("--ready", action="store_true", help="also require an engine that is up")
    options = parser.parse_args()
    parts = urlsplit(options.url)
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port or 80, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/health" if options.ready else "/livez")
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        sys.stderr.write(f"{options.url}: no answer: {error}\n")
        return 1
    finally:
        connection.close()
    sys.stdout.write(f"{response.status} {text}\n")
    return 0 if response.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
