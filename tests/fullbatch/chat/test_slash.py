import pytest

from fullbatch.chat.slash import HELP, Command, read


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("/exit", Command("exit")),
        (" /bye ", Command("exit")),
        ("/QUIT", Command("exit")),
        ("/clear", Command("clear")),
        ("/retry", Command("retry")),
        ("/?", Command("help")),
        ("/system You are a pirate.\nSay arr.", Command("system", "You are a pirate.\nSay arr.")),
        ("/system", Command("system")),
        ("/clera", Command("", "/clera")),
        ("/etc/hosts has what in it?", None),
        ("/", None),
        ("what is /exit?", None),
        ("", None),
    ],
)
def test_what_is_a_command(line: str, command: Command | None) -> None:
    assert read(line) == command


def test_the_help_names_every_command() -> None:
    assert all(f"/{name}" in HELP for name in ("clear", "system", "retry", "help", "exit"))
