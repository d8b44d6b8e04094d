"""Tests and fixtures may be coroutines: each test has an event loop of its own, closed after it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import uvloop

_RUNNER = pytest.StashKey[asyncio.Runner]()


def runner_of(item: pytest.Item) -> asyncio.Runner:
    """The event loop of a test; it is closed after everything that was set up with it."""
    if _RUNNER not in item.stash:
        is_uvloop = item.get_closest_marker("uvloop") is not None
        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop if is_uvloop else None)
        item.stash[_RUNNER] = runner
        item.addfinalizer(runner.close)
    return item.stash[_RUNNER]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine."""
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        return None
    values = {name: pyfuncitem.funcargs[name] for name in inspect.signature(test).parameters}
    runner_of(pyfuncitem).run(test(**values))
    return True


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    """Set up and take down a fixture that is a coroutine or an asynchronous generator."""
    function = fixturedef.func
    if not (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)):
        return (yield)
    assert fixturedef.scope == "function", "an event loop lives as long as one test"
    fixturedef.func = _awaited(function, runner_of(request.node))
    try:
        return (yield)
    finally:
        fixturedef.func = function


def _awaited(function: Callable[..., Any], runner: asyncio.Runner) -> Callable[..., Any]:
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


@pytest.fixture
async def exits() -> AsyncIterator[AsyncExitStack]:
    """A stack of contexts that are left after the test."""
    async with AsyncExitStack() as stack:
        yield stack
