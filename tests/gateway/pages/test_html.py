"""What is put into a template is text, whatever it looks like."""

from __future__ import annotations

import pytest

from gateway.pages.html import Html, fill, join


def test_text_is_escaped_also_between_quotes_and_html_stays() -> None:
    page = fill('<p title="{{a}}">{{b}}</p>', a="\"'><script>", b=Html("<b>x</b>"))
    assert page == '<p title="&quot;&#x27;&gt;&lt;script&gt;"><b>x</b></p>'


def test_a_value_that_looks_like_a_place_is_not_filled_again() -> None:
    assert fill("{{a}}{{b}}", a="{{b}}", b=1) == "{{b}}1"


def test_what_is_joined_stays_html_and_a_missing_value_is_an_error() -> None:
    assert fill("{{x}}", x=join([fill("<i>{{y}}</i>", y="<"), Html("<br>")])) == "<i>&lt;</i><br>"
    with pytest.raises(KeyError):
        fill("{{a}}")
