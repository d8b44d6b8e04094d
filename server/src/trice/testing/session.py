"""What the plugin does in a project: errors of loading it, the fixture `app`, and coroutines that
take it, which run on an event loop of their test.

Coroutines that take no `app` are left to whoever runs them (pytest-asyncio, anyio).
"""

from __future__ import annotations

import asyncio
import inspect
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any, Final

import pytest

from trice.functions.frames import LoadError
from trice.functions.loading import LoadErrors
from trice.testing.app import App
from trice.testing.project import Project
from trice.testing.stage import Stage

_RUNNER: Final = "trice_runner"
"""The fixture that `app` stands on: a test whose fixtures include it is one of ours, also where a
project has an `app` of its own made of this one."""

_ASYNCIO_WARNS: Final = "ignore:The test .* is marked with '@pytest.mark.asyncio'"
"""pytest-asyncio does, of tests with its mark that are no coroutines any more."""


class ProjectTests:
    """The plugin for one project. Holds what was loaded of it, and the folder of its apps."""

    def __init__(self, root: Path, *, is_apart: bool) -> None:
        """is_apart   functions run in processes"""
        self._root = root
        self._is_apart = is_apart
        self._project: Project | None = None
        self._folder: Path | None = None

    # --- the project ------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> object:
        """Load the project before its tests are. One that cannot be loaded has no tests: what is
        wrong is told as pytest tells of a file that is no Python."""
        if session.config.pluginmanager.has_plugin("dsession"):
            return None  # xdist: other processes have the tests
        self._folder = Path(tempfile.mkdtemp(prefix="trice-tests-"))
        try:
            self._project = Project(self._root, self._folder)
        except LoadErrors as failure:
            for report in _reports(self._root, session.config.rootpath, failure.errors):
                session.config.hook.pytest_collectreport(report=report)
            session.config.hook.pytest_collection_finish(session=session)
            return True
        return None

    def pytest_unconfigure(self) -> None:
        """Remove the files of all apps."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    # --- fixtures ---------------------------------------------------------------------------------

    @pytest.fixture(name=_RUNNER)
    def _runner(self) -> Iterator[asyncio.Runner]:
        """The event loop of a test that takes `app`."""
        with asyncio.Runner() as runner:
            yield runner

    @pytest.fixture
    def app(self, trice_runner: asyncio.Runner) -> Iterator[App]:
        """An app of this test alone, without data: the project's schema, rules and functions."""
        assert self._project is not None, "tests are run after the project was loaded"
        stage = trice_runner.run(Stage.open(self._project, is_apart=self._is_apart))
        yield App(stage)
        trice_runner.run(stage.close())

    # --- coroutines -------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_pycollect_makeitem(self) -> Generator[None, Any, Any]:
        """Make plain functions of the coroutines that are ours, before other plugins see them."""
        made = yield
        for item in made if isinstance(made, list) else ():
            if isinstance(item, pytest.Function) and _RUNNER in item.fixturenames:
                _take_over(item)
        return made

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, Any, Any]:
        """Run fixtures that are coroutines on the loop of their test, if that is ours."""
        function = fixturedef.func
        is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
        if not is_async or fixturedef.scope != "function" or _RUNNER not in request.fixturenames:
            return (yield)
        steps: Any = fixturedef  # pytest says that `func` is final; plugins for coroutines set it
        steps.func = _plain_fixture(function, request.getfixturevalue(_RUNNER))
        try:
            return (yield)
        finally:
            steps.func = function


def _take_over(item: pytest.Function) -> None:
    test = item.obj
    if not inspect.iscoroutinefunction(test):
        return

    @wraps(test)
    def plain(**values: Any) -> None:
        runner: Any = item.funcargs[_RUNNER]
        runner.run(test(**values))

    item.obj = plain
    item.add_marker(pytest.mark.filterwarnings(_ASYNCIO_WARNS))


def _plain_fixture(
    function: Callable[..., Any], runner: asyncio.Runner
) -> Callable[..., Generator[Any, None, None]]:
    """The same fixture as a plain generator."""

    def fixture(**values: Any) -> Generator[Any, None, None]:
        if inspect.iscoroutinefunction(function):
            yield runner.run(function(**values))
            return
        steps = function(**values)
        yield runner.run(_next(steps))
        runner.run(_next(steps))

    return fixture


async def _next(steps: AsyncIterator[Any]) -> Any:
    return await anext(steps, None)


def _reports(
    root: Path, rootpath: Path, errors: Iterable[LoadError]
) -> Iterator[pytest.CollectReport]:
    """What is wrong with each file, as reports of files that cannot be collected."""
    texts: dict[str, list[str]] = {}
    for error in errors:
        file = root / error.file
        shown = file.relative_to(rootpath) if file.is_relative_to(rootpath) else file
        texts.setdefault(shown.as_posix(), []).append(_text(file, shown.as_posix(), error))
    for name, lines in texts.items():
        yield pytest.CollectReport(name, "failed", "\n".join(lines), [])


def _text(file: Path, shown: str, error: LoadError) -> str:
    """Place and fault, and the line."""
    if error.line is None:
        return f"{shown}: {error.message}"
    told = f"{shown}:{error.line}: {error.message}"
    try:
        line = file.read_text("utf-8").splitlines()[error.line - 1]
    except (OSError, UnicodeDecodeError, IndexError):
        return told
    return f"{told}\n    {line.strip()}"
