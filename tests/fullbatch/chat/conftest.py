from collections.abc import Iterator

import pytest

from tests.fullbatch.chat.scripted import Script, scripted


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted() as server:
        yield server
