from __future__ import annotations

from fullbatch.doctor import verdict

FOUND = [verdict.ok("python", "3.12.1"), verdict.warn("docker", "absent", "install it")]


def test_one_line_each_and_the_fix_below() -> None:
    assert verdict.as_text(FOUND).splitlines() == [
        "ok    python          3.12.1",
        "warn  docker          absent",
        "                      fix: install it",
    ]


def test_a_warning_is_no_failure() -> None:
    assert verdict.works(FOUND)
    assert not verdict.works([*FOUND, verdict.fail("port", "taken", "free it")])


def test_as_json() -> None:
    said = verdict.as_json("cpu", "process", FOUND)
    assert (said["profile"], said["runtime"], said["works"]) == ("cpu", "process", True)
    assert said["checks"][1] == {"check": "docker", "severity": "warn", "finding": "absent", "fix": "install it"}
