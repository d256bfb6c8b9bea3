"""`python -m fullbatch`."""

import sys

from fullbatch.cli import main

if __name__ == "__main__":
    sys.exit(main())
