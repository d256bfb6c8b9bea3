"""scripts/test-clients in a folder of its own, with stand-ins for pip and npm: what it does at failures and again."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# `python -m venv FOLDER` makes pip and npm, which do what the files pip.does and npm.does say.
PYTHON = """\
#!/bin/sh
mkdir -p "$3/bin"
for name in pip npm; do cp $name.does "$3/bin/$name"; chmod 755 "$3/bin/$name"; done
"""


class Clone:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "requirements").mkdir()
        shutil.copytree(ROOT / "requirements" / "clients", folder / "requirements" / "clients")
        for lock in ("clients.txt", "clients-llama-index.txt"):
            shutil.copy(ROOT / "requirements" / lock, folder / "requirements")
        (folder / "scripts").mkdir()
        shutil.copy(ROOT / "scripts" / "test-clients", folder / "scripts")
        (folder / ".venv" / "bin").mkdir(parents=True)
        python = folder / ".venv" / "bin" / "python"
        python.write_text(PYTHON)
        python.chmod(0o755)
        for name in ("pip", "npm"):
            self.does(name, f'echo "{name} $*" >> {folder}/calls')

    def does(self, name: str, command: str) -> None:
        (self.folder / f"{name}.does").write_text(f"#!/bin/sh\n{command}\n")

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        script = self.folder / "scripts" / "test-clients"
        return subprocess.run([script, *words], capture_output=True, text=True, check=False)

    def calls(self) -> list[str]:
        return [line.split()[0] for line in (self.folder / "calls").read_text().splitlines()]


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    (tmp_path / "clone").mkdir()
    return Clone(tmp_path / "clone")


def test_a_second_run_does_nothing_until_its_lock_changes(clone: Clone) -> None:
    first = clone.run()
    assert (first.returncode, first.stderr, clone.calls()) == (0, "", ["pip", "npm"])
    assert "--require-hashes" in (clone.folder / "calls").read_text()
    assert clone.run().stdout == "" and len(clone.calls()) == 2
    for lock, program in (("clients.txt", "pip"), ("clients/package-lock.json", "npm")):
        with (clone.folder / "requirements" / lock).open("a") as file:
            file.write("\n")
        before = clone.calls()
        assert clone.run().returncode == 0 and clone.calls() == [*before, program]


def test_what_is_large_is_installed_when_it_is_asked_for(clone: Clone) -> None:
    clone.run()
    assert clone.run("all").returncode == 0 and clone.calls() == ["pip", "npm", "pip", "npm"]
    assert clone.run("all").stdout == "" and len(clone.calls()) == 4
    wrong = clone.run("everything")
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "scripts/test-clients: 'everything': write all, chat, drawing, or nothing\n",
    )


def test_the_drawing_is_put_together_anew_when_its_sources_or_packages_change(clone: Clone) -> None:
    shutil.copytree(ROOT / "requirements" / "drawing", clone.folder / "requirements" / "drawing")
    sources = clone.folder / "tests" / "grafana" / "drawing"
    shutil.copytree(ROOT / "tests" / "grafana" / "drawing", sources)
    made = (
        "mkdir -p node_modules/.bin node_modules/@fontsource/inter/files",
        "mkdir -p node_modules/@grafana/ui/dist/public/img/icons",
        "for weight in 400 500; do echo > node_modules/@fontsource/inter/files/inter-latin-$weight-normal.woff2; done",
        f"printf '#!/bin/sh\\necho esbuild >> {clone.folder}/calls\\n' > node_modules/.bin/esbuild",
        "chmod 755 node_modules/.bin/esbuild",
    )
    clone.does("npm", "\n".join((f"echo npm $* >> {clone.folder}/calls", *made)))
    first = clone.run("drawing")
    assert (first.returncode, first.stderr, clone.calls()) == (0, "", ["pip", "npm", "esbuild"])
    assert "npm ci --ignore-scripts" in (clone.folder / "calls").read_text()
    assert clone.run("drawing").stdout == "" and len(clone.calls()) == 3
    with (sources / "page.css").open("a") as file:
        file.write("\n")
    assert clone.run("drawing").returncode == 0 and clone.calls()[3:] == ["esbuild"]


def test_a_moved_checkout_is_installed_anew(clone: Clone, tmp_path: Path) -> None:
    clone.run()
    clone.folder = clone.folder.rename(tmp_path / "moved")
    for name in ("pip", "npm"):
        clone.does(name, f"echo {name} >> {clone.folder}/calls")
    assert clone.run().returncode == 0 and clone.calls() == ["pip", "npm", "pip", "npm"]


@pytest.mark.parametrize(("name", "folder"), [("pip", "python"), ("npm", "npm")])
def test_what_cannot_be_had_is_said_and_nothing_is_left_of_it(clone: Clone, name: str, folder: str) -> None:
    clone.does(name, "echo no network >&2; exit 1")
    ran = clone.run()
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"no network\ntest-clients: {name} could not install requirements/clients")
    assert not (clone.folder / ".fullbatch" / "clients" / folder).exists()
