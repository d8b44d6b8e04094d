"""`python -m trice_client`: tables as `trice query` prints them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from client_apps import App
from trice.cli.remote_data import print_answer
from trice_client import new_id
from trice_client.__main__ import main

LONG = "x" * 100
WIDE = {f"f{number:02}": number for number in range(14)}
ANSWERS: list[dict[str, Any]] = [
    {"todos": [{"id": "1", "title": "Milk", "n": 2.5}, {"id": "2", "done": True}]},
    {"todos": [], "people": [{"id": "1", "name": "Änne 日本 e\u0301", "note": LONG}]},
    {"todos": [{"id": str(n), "n": n} for n in range(60)]},
    {"todos": [{"id": "1", **WIDE, "\x1b[2J": "\x1b]0;x\x07\u202e\u200b\n"}]},
    {"todos": {"count": 2, "sum": {"n": 3}}, "x": None},
    {"todos": [{"id": "1", "owner": {"id": "2", "name": "Ann"}, "tags": ["a", None]}]},
    {"todos": [{"id": "1", "wide": "日" * 60}]},
]


def run(*words: str, app: App | None, cwd: Path) -> subprocess.CompletedProcess[str]:
    more = {} if app is None else {"TRICE_URL": app.url, "TRICE_APP": app.id}
    token = {} if app is None else {"TRICE_ADMIN_TOKEN": app.admin_token}
    return subprocess.run(
        [sys.executable, "-m", "trice_client", *words],
        cwd=cwd,
        env={**os.environ, **more, **token},
        capture_output=True,
        text=True,
    )


@pytest.mark.rule("PY62", "PY79")
def test_the_command_asks_once(app: App, tmp_path: Path) -> None:
    with app.sync() as db:
        db.transact(db.tx.todos[new_id()].create({"title": "Milk", "n": 2}))
    found = run("query", '{"todos": {}}', app=app, cwd=tmp_path)
    title, row = found.stdout.splitlines()
    assert (title.split()[1:], row.split()[1:]) == (["n", "title"], ["2", "Milk"])
    found = run("query", '{"todos": {"$": {"fields": ["n"]}}}', "--json", app=app, cwd=tmp_path)
    assert [each["n"] for each in json.loads(found.stdout)["todos"]] == [2], found.stderr
    refused = run("call", "no.such", app=app, cwd=tmp_path)
    assert refused.returncode == 1 and "TriceError('function-not-found'" in refused.stderr
    assert json.loads(run("functions", "--json", app=app, cwd=tmp_path).stdout) == []
    for wrong in (
        (),
        ("query", "{"),
        ("query", "[]"),
        ("query", "{}", "--rows", "0"),
        ("ask", "{}"),
    ):
        told = run(*wrong, app=None, cwd=tmp_path)
        assert told.returncode == 2 and told.stderr, wrong


@pytest.mark.rule("PY79")
@pytest.mark.parametrize("answer", ANSWERS)
def test_tables_look_as_those_of_trice_query(
    answer: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Db:
        def __enter__(self) -> Db:
            return self

        def __exit__(self, *_: object) -> None: ...

        def query(self, _: object) -> dict[str, Any]:
            return answer

    print_answer(answer, 50)
    wanted = capsys.readouterr()
    monkeypatch.setattr("trice_client.__main__._client", lambda _: Db())
    assert main(["query", "{}"]) == 0
    assert capsys.readouterr() == wanted
    assert main(["query", "{}", "--json"]) == 0
    told = capsys.readouterr().out
    assert json.loads(told) == answer
    assert told.replace("\n", " ").isprintable()
