"""`python -m fullbatch`."""

import sys

try:
    from common import streams
    from fullbatch.cli import main
except ModuleNotFoundError as error:  # the system's own Python, in a fresh clone
    sys.exit(
        f"fullbatch: {error.name} is not installed for {sys.executable}; run scripts/setup, then .venv/bin/fullbatch"
    )

if __name__ == "__main__":
    streams.open_missing()
    sys.exit(main())
