"""A desk's thread and what it hands back; a disk that hangs is in test_store_desk.py."""

from __future__ import annotations

import asyncio
import threading

import pytest

from gateway.core.supervisor import Supervisor
from gateway.pages.desk import Desk, DeskWords
from gateway.pages.load_report import ReportUnusable


async def test_it_works_in_a_thread_and_hands_back_what_was_refused() -> None:
    words = DeskWords("report_desk", "the reports", ReportUnusable, (KeyError,))
    desk = Desk(words, Supervisor(), asyncio.get_running_loop())
    assert await desk.ask(threading.current_thread) is not threading.current_thread()
    with pytest.raises(KeyError):
        await desk.ask(lambda: dict[str, int]()["none"])
    assert await desk.ask(lambda: 7) == 7
    assert desk.waiting == 0
