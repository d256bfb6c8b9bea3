"""The pages as a person has them: in a real browser, on a phone and a desktop, light and dark, by keyboard alone."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest

from tests.browser import Page, chromium
from tests.gateway.harness import wait_until
from tests.gateway.pages.conftest import EVIL, Served

PAGES = ("/", "/me", "/admin")
AXE = (files("axe_core_python") / "axe.min.js").read_text()


@pytest.fixture(scope="module")
def browser(served: Served) -> Iterator[Page]:
    with chromium() as tab:
        tab.open(f"{served.gateway.url}/me")  # now it has all its processes; what a test leaves is looked for
        yield tab


@pytest.fixture
def tab(browser: Page, served: Served) -> Iterator[Page]:
    """At the gateway's own address, with no key."""
    browser.shape(1440)
    browser.open(f"{served.gateway.url}/me")
    browser.ask("sessionStorage.clear()")
    yield browser
    served.engine.turn(itl_ms=5, tokens=16)


def opened(tab: Page, served: Served, path: str, key: str = "") -> None:
    """A page with this key typed before; waits for what it fetches."""
    if key:
        tab.ask(f"sessionStorage.setItem('fullbatch-key', '{key}')")
    tab.open(served.gateway.url + path)
    if key:
        tab.until("!document.getElementById('key-used').hidden")


def focused(tab: Page) -> str:
    return str(tab.ask("document.activeElement.id || document.activeElement.textContent.trim()"))


def tab_to(tab: Page, what: str) -> None:
    """Presses Tab until this has the focus."""
    seen = []
    for _ in range(40):
        tab.press("Tab")
        seen.append(focused(tab))
        if seen[-1] == what:
            return
    raise AssertionError(f"Tab does not come to {what}: {seen}")


@pytest.mark.parametrize("path", PAGES)
def test_p196_pages_fit_phone_and_desktop_in_light_and_dark(tab: Page, served: Served, path: str) -> None:
    served.ask(served.admin)
    for width in (320, 1440):
        for dark in (False, True):
            tab.shape(width, dark=dark)
            opened(tab, served, path, served.admin)
            assert tab.overflow() <= 0, f"{width} px"
            assert tab.complaints == []
            assert all(url.startswith(served.gateway.url) for url in tab.requested)
            ground = tab.ask("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]")
            assert ground < 50 if dark else ground > 200


@pytest.mark.parametrize("path", PAGES)
def test_p196_axe_finds_nothing(tab: Page, served: Served, path: str) -> None:
    for dark, key in ((False, ""), (False, served.admin), (True, served.admin)):
        tab.shape(320 if dark else 1440, dark=dark)
        opened(tab, served, path, key)
        tab.ask(AXE + ";1")
        found: list[dict[str, Any]] = tab.ask(
            "axe.run().then(r => r.violations.map(v => ({id: v.id, nodes: v.nodes.map(n => n.html)})))"
        )
        assert found == [], f"dark: {dark}, key: {bool(key)}"


def test_p196_the_first_screen_answers_at_a_glance(tab: Page, served: Served) -> None:
    for width, height in ((1440, 900), (320, 640)):
        tab.shape(width, height)
        opened(tab, served, "/")
        for what in ("text", "running", "waiting", "tokens", "models"):
            bottom = tab.ask(f"document.getElementById('{what}').getBoundingClientRect().bottom")
            assert 0 < bottom < height, f"{what} at {width} px"
        assert tab.ask("document.getElementById('text').textContent") == "Ready"


def test_p196_a_person_chats_by_keyboard_alone(tab: Page, served: Served) -> None:
    opened(tab, served, "/")
    tab_to(tab, "key")
    tab.write(served.alice)
    tab.press("Enter")
    tab.until("!document.getElementById('key-used').hidden")
    assert focused(tab) == "forget"
    tab_to(tab, "message")
    tab.write("Hello?")
    tab.press("Enter")
    tab.until("document.getElementById('chat-said').textContent.includes('tokens/s')")
    assert tab.ask("document.querySelector('.turn.user').innerText").split("\n")[-1] == "Hello?"
    assert tab.ask("document.querySelector('.turn.assistant div').innerText").split() == ["xxxx"] * 16
    tab.write("And more?")
    tab.press("Enter")
    tab.until("document.querySelectorAll('.turn.assistant').length === 2")
    tab.until("!document.getElementById('send').disabled")
    body = served.engine.last_body()
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert tab.complaints == []


def test_p196_an_answer_streams_and_can_be_stopped(tab: Page, served: Served) -> None:
    served.engine.turn(itl_ms=50, tokens=2000)
    opened(tab, served, "/", served.alice)
    tab.ask("document.getElementById('message').focus()")
    tab.write("A long story")
    tab.press("Enter")
    text = "document.querySelector('.turn.assistant div')?.innerText.split(' ').length || 0"
    first = tab.until(f"({text}) > 2 && ({text})")
    tab.until(f"({text}) > {first} + 3")
    tab_to(tab, "stop")
    tab.press("Enter")
    tab.until("document.getElementById('chat-said').textContent === 'Stopped.'")
    assert tab.ask("document.getElementById('send').disabled") is False
    tab.until("fetch('/ui/v1/status').then(r => r.json()).then(s => s.running === 0)")
    assert served.engine.running() == 0
    assert focused(tab) == "message"


def test_p196_a_wrong_key_is_told_and_not_kept(tab: Page, served: Served) -> None:
    for path in PAGES:
        opened(tab, served, path)
        tab.ask("document.getElementById('key').focus()")
        tab.write("fb-wrong")
        tab.press("Enter")
        tab.until("document.getElementById('key-said').textContent.includes('this API key is not known here')")
        assert tab.ask("sessionStorage.length") == 0
        assert focused(tab) == "key"
    opened(tab, served, "/admin")
    tab.ask("document.getElementById('key').focus()")
    tab.write(served.alice)
    tab.press("Enter")
    tab.until("document.getElementById('key-said').textContent.includes('is no operator')")


def test_p196_a_key_is_in_no_address_and_no_page_and_can_be_forgotten(tab: Page, served: Served) -> None:
    for path in PAGES:
        opened(tab, served, path)
        tab.ask("document.getElementById('key').focus()")
        tab.write(served.operator)
        tab.press("Enter")
        tab.until("!document.getElementById('key-used').hidden")
        assert served.operator not in tab.ask("document.documentElement.outerHTML + location.href + document.cookie")
        assert not [url for url in tab.requested if served.operator in url]
        tab.ask("document.getElementById('forget').click()")
        assert tab.ask("sessionStorage.length") == 0
        assert tab.ask("document.getElementById('content')?.textContent || ''") == ""


def test_p197_an_admin_makes_and_revokes_a_key_by_keyboard_alone(tab: Page, served: Served) -> None:
    opened(tab, served, "/admin", served.admin)
    tab.until("!document.getElementById('change-card').hidden")
    tab_to(tab, "name")
    tab.write("dora")
    tab_to(tab, "requests_per_minute")
    tab.write("7")
    tab.press("Enter")
    secret = tab.until("document.querySelector('#secret code')?.textContent")
    rows = "[...document.querySelectorAll('tr')].map(row => row.innerText).find(text => text.startsWith('dora'))"
    assert "7" in tab.until(rows)
    wait_until(lambda: served.get("/v1/models", secret).status_code == 200, 5, "the new key is let in")
    tab.ask("document.querySelector('#secret div + p button').focus()")
    tab.press("Enter")
    assert secret not in tab.ask("document.documentElement.outerHTML")
    assert focused(tab) == "name"
    tab.ask("document.getElementById('do').value = 'revoke'")
    tab.ask("document.getElementById('do').dispatchEvent(new Event('change'))")
    tab.press("Enter")  # not without saying that it is meant
    assert tab.ask("document.getElementById('change-form').checkValidity()") is False
    tab_to(tab, "sure")
    tab.press(" ")
    tab.press("Enter")
    tab.until("document.getElementById('change-said').textContent === 'Key dora is revoked.'")
    wait_until(lambda: served.get("/v1/models", secret).status_code == 401, 5, "the key is out")
    assert tab.complaints == []


def test_p198_memory_is_a_bar_of_the_plan_and_one_of_the_engines(tab: Page, served: Served) -> None:
    for width in (320, 1440):
        tab.shape(width)
        opened(tab, served, "/admin", served.operator)
        tab.until("document.querySelectorAll('svg.memory').length === 4")
        tab.until("document.querySelectorAll('svg.memory')[1].children.length === 2")
        widths = tab.ask(
            "[...document.querySelectorAll('svg.memory')].slice(0, 2).map(bar => "
            "[...bar.children].map(piece => piece.getBoundingClientRect().width / bar.getBoundingClientRect().width))"
        )
        planned, reported = widths
        assert [round(24 * part, 1) for part in planned] == pytest.approx([8, 1, 3, 8, 1, 1, 2], abs=0.2)
        assert [round(24 * part, 1) for part in reported] == pytest.approx([3, 0.9], abs=0.2)
        label = tab.ask("document.querySelectorAll('svg.memory')[1].getAttribute('aria-label')")
        assert "enginetiny reports 3.0 GiB" in label and EVIL[:4] in label
        rows = tab.ask("[...document.querySelectorAll('tr')].map(row => row.innerText.replaceAll('\\t', ' '))")
        assert any("900,000" in row and "-10.0 %" in row for row in rows)
        assert any(row.startswith("gone (in turns)") and "not said" in row for row in rows)
        assert tab.overflow() <= 0
        assert tab.complaints == []


def test_p199_the_last_load_test_is_shown_and_saved_by_keyboard(tab: Page, served: Served) -> None:
    opened(tab, served, "/admin", served.operator)
    tab.until("!!document.getElementById('save-report')")
    text = tab.ask("document.getElementById('save-report').closest('section').innerText")
    assert EVIL in text and "Ran clean" in text and "50 users" in text and "51 / 90" in text
    tab.ask("window.saved = ''; HTMLAnchorElement.prototype.click = function () { window.saved = this.download; }")
    tab.ask("document.getElementById('save-report').focus()")
    tab.press("Enter")
    tab.until("document.getElementById('report-said').textContent.startsWith('Saved.')")
    assert tab.ask("window.saved") == "2026-11-30_15-04-52.html"
    assert not [url for url in tab.requested if served.operator in url]
    assert tab.complaints == []


def test_p196_a_texts_button_copies_it(tab: Page, served: Served) -> None:
    opened(tab, served, "/")
    tab.allow("clipboardReadWrite", "clipboardSanitizedWrite")
    tab.ask("document.querySelector('.copybox button').focus()")
    tab.press("Enter")
    tab.until("document.querySelector('.copybox button').textContent === 'Copied'")
    copied = tab.ask("navigator.clipboard.readText()")
    assert copied.startswith(f"curl {served.gateway.url}/v1/chat/completions")


def test_p196_figures_are_renewed_and_names_with_markup_stay_text(tab: Page, served: Served) -> None:
    served.engine.turn(itl_ms=50, tokens=2000)
    opened(tab, served, "/", served.alice)
    tab.ask("document.getElementById('message').value = 'x'")
    tab.ask("document.getElementById('send').click()")
    tab.until("document.getElementById('running').textContent === '1'")
    tab.until("Number(document.getElementById('tokens').textContent) > 5")
    assert tab.complaints == []  # before the stop, which is a load that fails
    tab.ask("document.getElementById('stop').click()")
    assert tab.ask("[...document.querySelectorAll('#models b')].map(b => b.textContent)") == ["tiny", EVIL]
    assert tab.ask("document.images.length") == 1  # ours
    tab.until("document.getElementById('running').textContent === '0'")


def test_p196_without_scripts_all_but_the_chat_is_there(tab: Page, served: Served) -> None:
    tab.scripts(False)
    try:
        tab.open(f"{served.gateway.url}/")
        assert tab.overflow() <= 0
        assert "The chat needs JavaScript" in tab.ask("document.body.innerText")
        assert tab.ask("document.getElementById('text').innerText") == "Ready"
        assert tab.ask("document.getElementById('chat').checkVisibility()") is False
        for path in ("/me", "/admin"):
            tab.open(served.gateway.url + path)
            assert "This page needs JavaScript" in tab.ask("document.body.innerText")
            assert tab.ask("document.getElementById('key').checkVisibility()") is False
    finally:
        tab.scripts(True)
