"""The plugin of pytest (entry point `pytest11`): finds the project that is tested.

Where there is none it does nothing, and loads nothing of trice.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import pytest

PROJECT_FILE: Final = "trice.toml"
WORKERS: Final = "--trice-workers"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--trice-workers`"""
    parser.getgroup("trice").addoption(
        WORKERS,
        action="store_true",
        help="Run functions in processes, as a server does, and not in that of the tests.",
    )


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Let tests import the modules of the project, and take `app`."""
    root = find_project(config)
    if root is None:
        return
    from trice.testing.session import ProjectTests

    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    made = ProjectTests(root, is_apart=bool(config.getoption(WORKERS)))
    config.pluginmanager.register(made, "trice-project")


def find_project(config: pytest.Config) -> Path | None:
    """The nearest folder with a `trice.toml`: from the first test that was named, or the folder
    that pytest was started for."""
    named = [config.invocation_params.dir / each.partition("::")[0] for each in config.args]
    for begin in (*named[:1], config.rootpath):
        for folder in (begin, *begin.parents):
            if (folder / PROJECT_FILE).is_file():
                return folder.resolve()
    return None
