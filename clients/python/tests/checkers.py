"""What mypy and pyright say of a program, both of them strict."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PYRIGHT = ROOT / "node_modules" / ".bin" / "pyright"
SOURCES = [str(ROOT / "clients/python/src"), str(ROOT / "server/src")]
NO = "  # no"
"""The end of a line that must be refused."""


@dataclass(frozen=True)
class Checked:
    """What was said of the files of a folder.

    revealed   the types of each `reveal_type`, in order, without modules
    refused    file and line of each error
    """

    revealed: list[str]
    refused: set[tuple[str, int]]
    text: str


def by_mypy(root: Path, *files: str) -> Checked:
    strict = ("--strict", "--no-incremental", "--explicit-package-bases")
    command = [sys.executable, "-m", "mypy", *strict, *files]
    text = subprocess.run(command, cwd=root, capture_output=True, text=True).stdout
    shown = re.findall(r'Revealed type is "(.*)"$', text, re.MULTILINE)
    refused = re.findall(r"^(\S+?):(\d+): error", text, re.MULTILINE)
    return Checked(
        [_bare(each) for each in shown], {(name, int(line)) for name, line in refused}, text
    )


def by_pyright(root: Path, *files: str) -> Checked:
    config = {"typeCheckingMode": "strict", "extraPaths": SOURCES, "include": [*files]}
    (root / "pyrightconfig.json").write_text(json.dumps(config))
    command = [PYRIGHT, "--outputjson", "--pythonpath", sys.executable]
    text = subprocess.run(command, cwd=root, capture_output=True, text=True).stdout
    told = json.loads(text)["generalDiagnostics"]
    told.sort(key=lambda each: (each["file"], each["range"]["start"]["line"]))
    shown = [re.search(r'is "(.*)"$', each["message"]) for each in told]
    return Checked(
        [_bare(found[1]) for found in shown if found],
        {
            (
                str(Path(each["file"]).relative_to(root.resolve())),
                each["range"]["start"]["line"] + 1,
            )
            for each in told
            if each["severity"] == "error"
        },
        "\n".join(f"{each['range']['start']['line'] + 1}: {each['message']}" for each in told),
    )


def _bare(shown: str) -> str:
    """A type without modules, and without the ways in which the two write it."""
    return re.sub(r"(?:[A-Za-z_]\w*\.)+(?=\w)", "", shown).replace("'] | Literal['", "', '")


def wrong_lines(name: str, text: str) -> set[tuple[str, int]]:
    """The lines of a program that end with `# no`."""
    lines = enumerate(text.splitlines(), 1)
    return {(name, number) for number, line in lines if line.endswith(NO)}


CHECKERS = [
    pytest.param(by_mypy, id="mypy"),
    pytest.param(
        by_pyright,
        id="pyright",
        marks=pytest.mark.skipif(not PYRIGHT.exists(), reason="`make setup` installs pyright"),
    ),
]
Check = Callable[..., Checked]
