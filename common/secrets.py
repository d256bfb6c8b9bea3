"""What may be a secret is not repeated: not in messages, nor in files that people hand on.

Who pastes an error into an issue does not read it first, and a token in the wrong place is in it as well.
"""

from __future__ import annotations

import re
from typing import Any

HIDDEN = "..."
# Of a value; longer ones say no more of what is wrong.
_LONGEST = 120
_WORD = r"(?:token|key|password|passphrase|passwd|secret|credentials?)"
_NAMED = re.compile(rf"(?:^|[-_.]){_WORD}$", re.IGNORECASE)
# `hf_token=...`, `'password': '...'`, `--api-key ...`.
_GIVEN = re.compile(rf"""({_WORD}['"]?\s*[:=]\s*['"]?|--[a-z-]*{_WORD}\s+)[^\s'",;)}}\]]+""", re.IGNORECASE)
_BEARER = re.compile(r"(Bearer\s+)\S+", re.IGNORECASE)
_USER = re.compile(r"//[^\s'\"]*@")
# As their makers begin them: Hugging Face, OpenAI and others, ours, GitHub, GitLab, Slack, AWS, a JWT.
_BEGUN = re.compile(r"\b(?:hf_|sk-|fb-|gh[pousr]_|github_pat_|glpat-|xox[a-z]-|AKIA|eyJ)[\w.=-]{6,}")
# A run that no name of a model, file or setting has.
_RUN = re.compile(r"(?<![\w/.])(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9+=]{16,}(?![\w/.])")


def masked(text: str) -> str:
    """A text without users and passwords of addresses, values named as secrets, and tokens that are known as such."""
    text = _USER.sub(f"//{HIDDEN}@", text)
    text = _BEARER.sub(rf"\1{HIDDEN}", text)
    text = _GIVEN.sub(rf"\1{HIDDEN}", text)
    return _BEGUN.sub(HIDDEN, text)


def shown(name: str, value: Any) -> str:
    """A value of the setting ``name`` as a message may quote it."""
    if isinstance(value, str | bytes | list | dict) and _NAMED.search(name):
        return HIDDEN
    text = _RUN.sub(HIDDEN, masked(repr(value)))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - len(HIDDEN)]}{HIDDEN}"
