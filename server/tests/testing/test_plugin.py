"""The plugin of pytest, in projects whose tests pytest runs as a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from support.function_stage import write_project
from support.tested_projects import SOURCE, run_tests
from trice.cli.main import main

DOCS = Path(__file__).parents[3] / "docs"
TAKES_ALL = '''
"""A plugin that runs every coroutine, as pytest-asyncio does in its mode auto."""

import asyncio
import inspect

import pytest


class Item(pytest.Function):
    def runtest(self):
        test = self.obj
        self.obj = lambda **values: asyncio.run(test(**values))
        super().runtest()


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem(collector, name, obj):
    made = yield
    if not isinstance(made, list):
        return made
    return [
        Item.from_parent(each.parent, name=each.name, callspec=getattr(each, "callspec", None),
                         callobj=each.obj, fixtureinfo=each._fixtureinfo,
                         originalname=each.originalname)
        if inspect.iscoroutinefunction(each.obj) else each
        for each in made
    ]


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef, request):
    function = fixturedef.func
    if inspect.iscoroutinefunction(function):
        fixturedef.func = lambda **values: asyncio.run(function(**values))
    try:
        return (yield)
    finally:
        fixturedef.func = function
'''
MANY_KINDS = """
import asyncio

import pytest

from functions import messages
from trice.testing import App, Caller

events = []


@pytest.fixture
async def alice(app: App) -> Caller:
    return await app.user("alice@example.com")


@pytest.fixture
async def sent(alice):
    events.append("begun")
    yield await alice.run(messages.send, "hi")
    assert len(await alice.run(messages.recent)) == 1
    events.append("over")


async def test_fixtures_are_coroutines(app, sent):
    assert [each.id for each in await app.guest.run(messages.recent)] == [sent]
    assert events == ["begun"]


async def test_a_fixture_alone(alice):
    assert events == ["begun", "over"]
    assert await alice.run(messages.recent) == []


class TestOfAClass:
    @pytest.mark.parametrize("text", ["a", "b"])
    async def test_a_method(self, app, text):
        self.text = text
        await app.guest.run(messages.send, text)
        assert [each.text for each in await app.guest.run(messages.recent)] == [self.text]


def test_a_plain_test():
    assert messages.send.__name__ == "send"


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.mark.anyio
async def test_of_anyio():
    await asyncio.sleep(0)


@pytest.mark.anyio
async def test_with_the_mark_of_anyio_and_an_app(alice):
    assert alice.email == "alice@example.com"
"""
FOR_ALL = """
import pytest


@pytest.fixture
async def theirs():
    return 3


async def test_of_the_other_plugin(theirs):
    assert theirs == 3


async def test_with_an_app_too(app, theirs):
    assert (await app.user(f"{theirs}@example.com")).email == "3@example.com"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    done = CliRunner().invoke(main, ["init", str(tmp_path / "chat")])
    assert done.exit_code == 0, done.output
    return tmp_path / "chat"


def passed(root: Path, *words: str) -> int:
    """How many tests passed; all did."""
    ran = run_tests(root, *words)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (count,) = re.findall(r"^(\d+) passed in", ran.stdout, re.MULTILINE)
    return int(count)


@pytest.mark.rule("FN440")
def test_the_tests_of_a_new_project_pass(root: Path) -> None:
    assert passed(root) == 3
    ran = run_tests(root.parent, "chat")
    assert "3 passed" in ran.stdout, "started from another folder"
    (root / "rules.yaml").write_text("messages: {allow: {$default: 'true'}}")
    ran = run_tests(root)
    assert ran.returncode == 1 and "1 failed, 2 passed" in ran.stdout, ran.stdout


@pytest.mark.rule("FN430")
def test_coroutines_of_all_kinds_run_beside_other_plugins(root: Path) -> None:
    write_project(root, {"tests/test_messages.py": MANY_KINDS})
    assert passed(root) == 7
    write_project(root, {"conftest.py": TAKES_ALL, "tests/test_all.py": FOR_ALL})
    assert passed(root) == 9
    alone = run_tests(root, "-p", "no:trice", "tests/test_all.py")
    assert "fixture 'app' not found" in alone.stdout and "1 passed, 1 error" in alone.stdout


@pytest.mark.rule("FN431")
def test_files_of_apps_are_gone_afterwards(root: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    ran = run_tests(root, TMPDIR=str(place))
    assert ran.returncode == 0, ran.stdout
    assert list(place.glob("trice-tests-*")) == []


@pytest.mark.rule("FN437")
def test_a_project_that_cannot_be_loaded_is_told_first(root: Path) -> None:
    source = root / "functions" / "messages.py"
    source.write_text(source.read_text().replace("text: Annotated[str, MaxLen(4000)]", "text"))
    write_project(root, {"functions/other.py": "def x(:\n"})
    line = 1 + source.read_text().splitlines().index(
        "async def send(ctx: Mutation[Db], text) -> Id[Message]:"
    )
    for words in ((), ("tests/test_messages.py::test_who_watches_is_told",), ("-n", "2")):
        ran = run_tests(root, *words)
        assert ran.returncode != 0
        headline, told, shown = re.findall(r"^_+ ERROR.*(?:\n.*){2}", ran.stdout, re.M)[
            0
        ].splitlines()
        assert "ERROR collecting functions/messages.py" in headline
        assert told == f"functions/messages.py:{line}: text has no type hint"
        assert shown == "    async def send(ctx: Mutation[Db], text) -> Id[Message]:"
        assert ran.stdout.count("functions/other.py:1: invalid syntax\n    def x(:") == 1
        assert "passed" not in ran.stdout and "2 errors" in ran.stdout


@pytest.mark.rule("FN437")
def test_processes_of_xdist_have_apps_too(root: Path) -> None:
    ran = run_tests(root, "-n", "2")
    assert ran.returncode == 0 and "3 passed" in ran.stdout, ran.stdout


@pytest.mark.rule("FN438")
def test_elsewhere_the_plugin_loads_nothing(tmp_path: Path) -> None:
    text = """
import sys

import pytest


@pytest.fixture
def app():
    return "theirs"


def test_it(app, pytestconfig):
    assert app == "theirs" and pytestconfig.pluginmanager.has_plugin("trice")
    theirs = {name for name in sys.modules if name.startswith("trice")}
    assert theirs == {"trice", "trice.testing", "trice.testing.plugin"}
"""
    write_project(tmp_path / "elsewhere", {"test_it.py": text, "pytest.ini": "[pytest]"})
    assert passed(tmp_path / "elsewhere") == 1


@pytest.mark.rule("FN439")
def test_a_conftest_may_import_functions(root: Path) -> None:
    text = """
import pytest

from functions.messages import send


@pytest.fixture
async def sent(app):
    return await app.guest.run(send, "hi")
"""
    test = "async def test_it(sent):\n    assert sent\n"
    write_project(root, {"tests/conftest.py": text, "tests/test_sent.py": test})
    assert passed(root) == 4


APART = """
import os

import httpx
import pytest

from functions import reach
from trice.functions import RefusedError
from trice.testing import App


async def test_a_process_is_used(app: App) -> None:
    app.env["KEY"] = "first"
    app.http.answer("https://a.example/*", status=201, json={"a": 1})
    app.http.answer("https://gone.example/", error=httpx.ConnectError("gone"))
    pid, told, failure, key = await app.guest.run(reach.out, "https://a.example/b")
    assert pid != os.getpid()
    assert (told, failure, key) == ([201, {"a": 1}], "gone", "first")
    (request, other) = app.http.requests
    assert (request.method, request.url.path, request.content) == ("POST", "/b", b"body")
    assert app.mail.sent[0].subject == "Hi"
    assert await app.files.read("a") == b"kept"
    app.env["KEY"] = "second"
    with pytest.raises(RefusedError) as raised:
        await app.guest.run(reach.out, "https://nobody.example/")
    assert "Nobody answers POST https://nobody.example/" in raised.value.__notes__[0]
    assert await app.guest.run(reach.key) == "second"
"""
REACH = """
import os
from typing import Any

import httpx
from trice.functions import Action, action

@action
async def out(ctx: Action[Any], url: str) -> list[Any]:
    answer = await ctx.http.post(url, content="body")
    try:
        await ctx.http.get("https://gone.example/")
    except httpx.ConnectError as failure:
        told = str(failure)
    await ctx.mail.send("al@example.com", subject="Hi", text="x")
    await ctx.files.upload("a", b"kept")
    return [os.getpid(), [answer.status_code, answer.json()], told, ctx.env["KEY"]]

@action
async def key(ctx: Action[Any]) -> str:
    return ctx.env["KEY"]
"""


@pytest.mark.rule("FN518")
def test_the_same_tests_run_in_processes(tmp_path: Path) -> None:
    root = write_project(
        tmp_path,
        {"trice.toml": "", "functions/reach.py": REACH, "tests/test_reach.py": APART},
    )
    done = run_tests(root, "--trice-workers")
    assert done.returncode == 0, done.stdout
    here = run_tests(root)
    assert here.returncode == 1 and "assert pid != os.getpid()" in here.stdout


@pytest.mark.rule("FN440", "FN538")
def test_the_page_is_right(tmp_path: Path) -> None:
    texts: dict[str, str] = {}
    for page in ("functions.md", "functions-testing.md"):
        found = (DOCS / page).read_text("utf-8")
        texts |= dict(re.findall(r"^```python\n# (\S+\.py)\n(.*?)^```$", found, re.M | re.S))
    rules = "$default: {allow: {$default: 'false'}}"
    root = write_project(tmp_path, {"trice.toml": "", "rules.yaml": rules, **texts})
    tests = [text for name, text in texts.items() if name.startswith("tests/")]
    assert passed(root) == len(re.findall(r"^async def test_", "".join(tests), re.M))
    checked = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--explicit-package-bases"),
            *("--config-file=", f"--cache-dir={tmp_path / 'cache'}", "tests"),
            "--disable-error-code=import-untyped",  # of packages that the source of trice needs
        ],
        cwd=root,
        env={"MYPYPATH": str(SOURCE), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
