"""What patterns are made of."""

from __future__ import annotations

import pytest

from gateway.bodies.pattern_scan import Scan


@pytest.mark.parametrize(
    ("pattern", "wide", "narrow", "run"),
    [
        ("abc", 0, 0, 0),
        ("a?b*c", 0, 0, 2),
        ("a?b+c?d?e?", 0, 0, 3),
        ("(a|b?)(c?|)d", 0, 0, 2),
        ("((a?)?)?", 0, 0, 3),
        (".{3}[a-z]{2,4}", 3, 4, 0),
        ("[^a]|[a-z]|[é]|[\\w]|[ -~]", 4, 1, 0),
        ("(.{2}){5}", 10, 0, 0),
        (".{0,}", 200, 0, 2),
        ("a{,3}b{0,1}", 0, 0, 2),
        ("\\d\\w\\.", 1, 2, 0),
        ("a{x}{", 0, 0, 0),
        ("]})[a", 0, 1, 0),
        ("\\", 0, 1, 0),
        ("?*{1}", 0, 0, 0),
    ],
)
def test_a_regex(pattern: str, wide: int, narrow: int, run: int) -> None:
    whole = Scan(pattern, grammar=False).whole()
    assert (whole.wide, whole.narrow) == (wide, narrow)
    assert round(whole.cubes ** (1 / 3)) == run


@pytest.mark.parametrize(
    ("grammar", "optional"),
    [
        ('root ::= "a?b*" x\nx ::= "." | "[^a]"', 1),
        ('root ::= "a"? "b"?\nx ::= "c"*', 3),
        ('root ::= ("" | "a") ("b" | "")', 2),
        ("root ::= a | b | c | d | e", 1),
        ("root ::= a b c d", 4),
        ("start: [a] [b]\n", 2),
        ('start: "a" ~ 0..100', 1),
        ('root ::= "unfinished', 0),
    ],
)
def test_a_grammar(grammar: str, optional: int) -> None:
    # The names of rules stand in runs of their own, so there may be a little more.
    assert optional**3 <= Scan(grammar, grammar=True).whole().cubes <= optional**3 + 10
