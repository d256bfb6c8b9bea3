from __future__ import annotations

from fullbatch.core import check_result

FOUND = [check_result.ok("python", "3.12.1"), check_result.warn("docker", "absent", "install it")]


def test_one_line_each_and_the_fix_below() -> None:
    assert check_result.as_text(FOUND).splitlines() == [
        "ok    python          3.12.1",
        "warn  docker          absent",
        "                      fix: install it",
    ]


def test_a_warning_is_no_failure() -> None:
    assert check_result.works(FOUND)
    assert not check_result.works([*FOUND, check_result.fail("port", "taken", "free it")])


def test_as_json() -> None:
    said = check_result.as_json("cpu", "process", FOUND)
    assert (said["profile"], said["runtime"], said["works"]) == ("cpu", "process", True)
    assert said["checks"][1] == {"check": "docker", "severity": "warn", "finding": "absent", "fix": "install it"}
