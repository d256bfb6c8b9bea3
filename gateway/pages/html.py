"""HTML from templates. What is put into one is escaped, unless it was made here."""

from __future__ import annotations

import html
import re

_PLACE = re.compile(r"\{\{(\w+)\}\}")


class Html(str):
    """Text that is HTML already: a template with its places filled."""

    __slots__ = ()


def fill(template: str, **values: object) -> Html:
    """Put ``values`` where the template has ``{{name}}``; each is escaped, for text and for attributes in quotes.

    Raises:
        KeyError: the template names a value that is not given.
    """
    return Html(_PLACE.sub(lambda found: escaped(values[found[1]]), template))


def join(parts: list[Html]) -> Html:
    """One after the other."""
    return Html("".join(parts))


def escaped(value: object) -> str:
    """A value as HTML has it; `Html` stays as it is."""
    return str(value) if isinstance(value, Html) else html.escape(str(value), quote=True)
