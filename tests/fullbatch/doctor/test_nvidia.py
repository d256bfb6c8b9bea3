"""Recorded and constructed answers of nvidia-smi (tests/fixtures/nvidia-smi says which is which)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fullbatch.doctor import nvidia
from tests.fullbatch.checkout import REPOSITORY

ANSWERS = REPOSITORY / "tests" / "fixtures" / "nvidia-smi"
Programs = Callable[[str, str], None]


def text(name: str) -> str:
    return (ANSWERS / name).read_text(encoding="utf-8")


def test_a_real_card() -> None:
    (idle,) = nvidia.parse_cards(text("h100-cards-idle.csv"))
    assert (idle.index, idle.name, idle.driver, idle.capability) == (0, "NVIDIA H100 80GB HBM3", "580.159.04", "9.0")
    # 81559 MiB in all; 480 are the driver's own and no program gets them.
    assert (idle.memory_mib, idle.free_mib) == (81079, 81079)
    (held,) = nvidia.parse_cards(text("h100-cards-held.csv"))
    assert (held.memory_mib, held.free_mib) == (81080, 72361)


def test_real_holders() -> None:
    assert nvidia.parse_holders(text("h100-holders-idle.csv")) == ()
    (holder,) = nvidia.parse_holders(text("h100-holders.csv"))
    (card,) = nvidia.parse_cards(text("h100-cards-held.csv"))
    assert holder == nvidia.Holder(card.uuid, 414, "python3", 8710)


def test_holders_with_commas_and_without_numbers() -> None:
    first, second = nvidia.parse_holders(text("rtx4090-holders.csv"))
    assert (first.name, first.used_mib) == ("/usr/lib/xorg/Xorg", 412)
    assert (second.name, second.used_mib) == ("/opt/a,b/ollama_llama_server", 8996)
    (hidden,) = nvidia.parse_holders(text("wsl2-holders.csv"))
    assert (hidden.pid, hidden.used_mib) == (1234, None)


def test_unified_memory_has_no_numbers() -> None:
    (card,) = nvidia.parse_cards("0, GPU-1, NVIDIA GB10, 580.95.05, [N/A], [N/A], [N/A], 12.1\n")
    assert (card.name, card.memory_mib, card.free_mib) == ("NVIDIA GB10", 0, 0)


@pytest.mark.parametrize(
    ("name", "meaning", "fix"),
    [
        ("not-loaded.txt", "the NVIDIA driver is not loaded", "modprobe nvidia"),
        ("mismatch.txt", "updated while the old one is still loaded", "restart this machine"),
        ("lost-card.txt", "this container has lost its cards", "create the container anew"),
        ("no-devices.txt", "finds no card", "lspci"),
        ("bad-field.txt", 'nvidia-smi fails: Field "nonsense" is not a valid field to query.', "mend what it says"),
    ],
)
def test_failures_are_explained(name: str, meaning: str, fix: str, programs: Programs) -> None:
    programs("nvidia-smi", f"/bin/cat '{ANSWERS / name}'; exit 9")
    seen = nvidia.read()
    assert seen.cards == ()
    assert meaning in str(seen.problem)
    assert fix in seen.fix


def test_no_driver_at_all(programs: Programs) -> None:
    programs("something-else", "exit 0")
    assert "no NVIDIA driver" in str(nvidia.read().problem)


def test_one_that_says_nothing_and_one_that_hangs(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    programs("nvidia-smi", "exit 0")
    assert nvidia.read().problem == "nvidia-smi says nothing about cards"
    monkeypatch.setattr(nvidia, "_TIMEOUT", 0.2)
    programs("nvidia-smi", "exec /bin/sleep 30")
    assert "the driver hangs" in str(nvidia.read().problem)


def test_cards_and_who_holds_them_are_asked_for(programs: Programs) -> None:
    cards, holders = ANSWERS / "h100-cards-held.csv", ANSWERS / "h100-holders.csv"
    programs("nvidia-smi", f"case \"$1\" in --query-gpu=*) /bin/cat '{cards}';; *) /bin/cat '{holders}';; esac")
    seen = nvidia.read()
    assert seen.problem is None
    assert [card.name for card in seen.cards] == ["NVIDIA H100 80GB HBM3"]
    assert [holder.pid for holder in seen.holders] == [414]
    programs("nvidia-smi", f"case \"$1\" in --query-gpu=*) /bin/cat '{cards}';; *) exit 3;; esac")
    assert nvidia.read().holders == ()


def test_the_recordings_are_explained() -> None:
    said = Path(ANSWERS / "README.md").read_text(encoding="utf-8")
    assert "constructed" in said
    assert "recorded" in said
