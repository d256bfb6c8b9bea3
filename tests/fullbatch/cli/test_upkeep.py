"""`fullbatch backup` and `restore` as a person types them."""

from __future__ import annotations

from tests.fullbatch.checkout import Checkout
from tests.fullbatch.cli.words import one_line


def test_backup_and_restore(checkout: Checkout) -> None:
    checkout.write(".fullbatch/run/cpu-tiny/api_keys", "fb-1 first\n")
    made = checkout.run("keys", "--profile", "cpu-tiny", "create", "alice")
    assert made.returncode == 6, "it has no store yet"
    saved = checkout.run("backup", "b.tar.gz")
    assert saved.returncode == 0, saved.stderr
    assert (
        "key stores: none" in saved.stdout and "it holds API keys and passwords: only you can read it" in saved.stdout
    )
    assert (checkout.root / "b.tar.gz").stat().st_mode & 0o777 == 0o600
    checkout.write(".fullbatch/run/cpu-tiny/api_keys", "fb-2 first\n")
    back = checkout.run("restore", "b.tar.gz")
    assert back.returncode == 0, back.stderr
    assert "what is here now is kept in " in back.stdout and "start it: fullbatch up" in back.stdout
    assert (checkout.root / ".fullbatch/run/cpu-tiny/api_keys").read_text() == "fb-1 first\n"
    assert "\n    backup " in checkout.run("--help").stdout


def test_mistakes_are_one_line(checkout: Checkout) -> None:
    half = checkout.write("half.tar.gz", "")
    run = checkout.run("restore", "half.tar.gz")
    assert "cut off or damaged" in one_line(run, 2)
    half.unlink()
    run = checkout.run("restore", "half.tar.gz")
    assert "half.tar.gz: cannot be read (no such file or directory)" in one_line(run, 2)
    checkout.write("there.tar.gz", "")
    run = checkout.run("backup", "there.tar.gz")
    assert "is there already" in one_line(run, 2)
