"""Each step of "A year of operating" is a command that a test runs, and that its program takes."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.documents.collect import ROOT, Command, commands
from tests.documents.parsers import parse

UPGRADE, BACKUP, STACK = (
    "tests/e2e/test_docker_upgrade.py",
    "tests/fullbatch/upkeep/test_backup.py",
    "tests/e2e/test_docker_stack.py",
)
INIT = "tests/fullbatch/cli/test_init.py::test_a_laid_out_folder_is_rendered_and_is_updated_to_what_it_is"
WEIGHTS, KEYS = "tests/fullbatch/lifecycle/test_weights.py", "tests/gateway/keys/test_main.py"
# The first that begins a command: which test runs it.
RUN_BY = {
    "fullbatch service install": "tests/fullbatch/service/test_boot.py::test_installed_and_taken_away",
    "fullbatch init --update": INIT,
    "fullbatch backup": f"{UPGRADE}::test_keys_go_to_another_project_by_backup_and_restore",
    "fullbatch restore": f"{UPGRADE}::test_keys_go_to_another_project_by_backup_and_restore",
    "fullbatch doctor": "tests/documents/test_commands.py::test_it_works_in_a_fresh_clone",
    "fullbatch status": f"{UPGRADE}::test_bad_ones_end_as_they_began",
    "fullbatch usage": f"{STACK}::test_keys_are_made_and_usage_is_kept_in_the_gateways_container",
    "fullbatch upgrade --dry-run": f"{UPGRADE}::test_a_good_one_under_load_and_back",
    "fullbatch upgrade --image engine": f"{UPGRADE}::test_bad_ones_end_as_they_began",
    "fullbatch upgrade": "tests/fullbatch/upkeep/test_upgrade.py::test_without_a_wish_it_is_what_the_checkout_says",
    "fullbatch rollback": f"{UPGRADE}::test_a_good_one_under_load_and_back",
    "fullbatch quality": "tests/fullbatch/cli/test_quality.py",
    "fullbatch down": f"{STACK}::test_fullbatch_up_waits_for_a_token_and_down_takes_everything_away",
    "fullbatch up PROFILE --gateway-port": "tests/fullbatch/runtime/process/test_deployment.py",
    "fullbatch up": f"{UPGRADE}::test_one_that_is_killed_is_undone_by_the_next_command",
    "fullbatch weights prune": WEIGHTS,
    "fullbatch keys": KEYS,
    "docker compose run --rm": f"{UPGRADE}::test_a_leaked_first_key_is_made_anew",
    "docker compose build gateway": f"{UPGRADE}::stack",
    "scripts/setup": "tests/test_setup.py::test_a_copied_or_moved_checkout_is_set_up_anew",
}
OTHERS = ("git pull", "pipx upgrade", "docker image prune", "docker system df")


def _section(tmp_path: Path) -> list[Command]:
    text = (ROOT / "docs/operating.md").read_text()
    found = re.search(r"## A year of operating\n(.*?)\n## ", text, re.DOTALL)
    assert found
    (tmp_path / "year.md").write_text(found[1])
    return commands([tmp_path / "year.md"])


def test_each_step_is_run_by_a_test(tmp_path: Path) -> None:
    steps = [command.text for command in _section(tmp_path) if not command.text.startswith(OTHERS)]
    assert len(steps) > 15
    lost = [text for text in steps if not any(text.startswith(begin) for begin in RUN_BY)]
    assert lost == []
    idle = [begin for begin in RUN_BY if not any(text.startswith(begin) for text in steps)]
    assert idle == []


def test_each_is_taken_by_its_program(tmp_path: Path) -> None:
    for command in _section(tmp_path):
        if command.text.startswith("fullbatch "):
            parse(command)


@pytest.mark.parametrize("where", sorted(set(RUN_BY.values())))
def test_the_test_exists(where: str) -> None:
    path, _, name = where.partition("::")
    tree = ast.parse((ROOT / path).read_text())
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert not name or name in names, f"{path} has no {name}"
