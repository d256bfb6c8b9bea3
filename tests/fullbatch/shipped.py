"""The shipped profiles: of one model each, of several, and all."""

from __future__ import annotations

from fullbatch.planning import profile
from tests.fullbatch.checkout import REPOSITORY

ALL = profile.names(REPOSITORY)
SEVERAL = [name for name in ALL if "models" in profile.settings(REPOSITORY, name)]
ONE = [name for name in ALL if name not in SEVERAL]
