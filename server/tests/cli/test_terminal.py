"""What commands print, however hostile a server or a reader is."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from support.patience import WAIT_S
from support.remote_cli import Person
from support.serving import TRICE
from trice.cli import remote, terminal
from trice.cli.main import main

EVIL = "a\x1b[31mb\x07\r\n\x9b2J\u202egnp.exe\u2028\u200b\U000e0041é漢\U0001f600"
SAFE = "a\\x1b[31mb\\x07\\r\\n\\x9b2J\\u202egnp.exe\\u2028\\u200b\\U000e0041é漢\U0001f600"
MILK = "7f3c0a52-6f5e-4a57-9d0c-3f1f5f0e8a11"
OBEYED = set(map(chr, [*range(0x0A), *range(0x0B, 0x20), *range(0x7F, 0xA0), 0x202E, 0x2028]))


def command(person: Person, *words: str) -> tuple[list[str], dict[str, str]]:
    """The words and the environment of a command as a process."""
    given = {"TRICE_URL": person.url, "TRICE_TOKEN": person.token, "TRICE_APP": person.app_id}
    environment = {**os.environ, **given, "XDG_CONFIG_HOME": str(person.home)}
    environment.pop("NO_COLOR", None)
    return [str(TRICE), *words], environment


@pytest.mark.rule("CLI212")
def test_what_a_terminal_obeys_is_shown_as_escapes() -> None:
    assert terminal.printable(EVIL) == SAFE
    assert terminal.printable({"k": EVIL}).isprintable()
    assert [terminal.printable(each) for each in (None, 3, True, ["a"])] == [
        *("-", "3", "true", '["a"]'),
    ]
    assert terminal.printable("\ud800") == "\\ud800"


@pytest.mark.rule("CLI212")
def test_odd_names_reach_no_terminal(ann: Person) -> None:
    ann = ann.with_app(EVIL)
    listed = ann.told("apps", "list")
    assert SAFE[:60] in listed and not OBEYED & set(listed)
    raw = ann.told("apps", "list", "--json")
    assert not OBEYED & set(raw)
    assert json.loads(raw)[0]["title"] == EVIL
    step = ["create", "todos", MILK, {"text": EVIL, f"k{EVIL}": {EVIL: [EVIL]}}]
    ann.told("transact", json.dumps(step))
    for words in (["query", '{"todos": {}}'], ["schema"], ["apps", "show", ann.app_id]):
        done = ann.run(*words)
        assert done.exit_code == 0 and not OBEYED & set(done.output), words
    refused = ann.run("apps", "delete", ann.app_id, typed="n\n")
    assert SAFE in refused.stderr and not OBEYED & set(refused.output)
    refused = ann.run("apps", "show", EVIL.replace("\x1b", "%1b"))
    assert refused.exit_code == 2 and not OBEYED & set(refused.output)
    refused = ann.run("query", '{"todos": {"$": {"where": {"\\u001b[31m": {"$x\\u009b": 1}}}}}')
    assert refused.exit_code == 1 and not OBEYED & set(refused.output)


@pytest.mark.rule("CLI213")
def test_large_answers_are_cut_and_say_so(ann: Person) -> None:
    ann = ann.with_app()
    wide = {f"column{number:02}": "漢" * 100 for number in range(20)}
    steps = [["create", "todos", f"{MILK[:-3]}{number:03}", wide] for number in range(60)]
    ann.told("transact", json.dumps(steps))
    done = ann.run("query", '{"todos": {}}')
    lines = done.stdout.splitlines()
    assert len(lines) == 51
    assert "漢" * 39 + "…" in lines[1] and "漢" * 40 not in lines[1]
    assert "There are 9 more columns: column11, " in done.stderr
    assert "There are 10 more rows." in done.stderr
    assert ann.run("query", '{"todos": {}}', "--rows", "60").stdout.count("\n") == 61
    assert len(ann.data("query", '{"todos": {}}')["todos"]) == 60


@pytest.mark.rule("CLI214")
def test_a_reader_that_stops_is_no_failure_of_ours(ann: Person) -> None:
    ann = ann.with_app()
    steps = [
        ["create", "todos", f"{MILK[:-4]}{number:04}", {"text": "x" * 2_000}]
        for number in range(200)
    ]
    ann.told("transact", json.dumps(steps))
    words, environment = command(ann, "query", '{"todos": {}}', "--json")
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=WAIT_S) in (0, 1)  # as the version of click has it


@pytest.mark.rule("CLI211")
def test_colours_are_for_terminals(ann: Person) -> None:
    ann = ann.with_app()
    words, environment = command(ann, "apps", "list")
    piped = subprocess.run(words, capture_output=True, env=environment, timeout=WAIT_S, check=True)
    assert b"\x1b" not in piped.stdout
    assert b"\x1b[1m" in on_terminal(words, environment)
    assert b"\x1b" not in on_terminal(words, {**environment, "NO_COLOR": "1"})


def on_terminal(words: list[str], environment: dict[str, str]) -> bytes:
    """What a command prints to a terminal."""
    ours, theirs = pty.openpty()
    try:
        subprocess.run(words, stdout=theirs, env=environment, timeout=WAIT_S, check=True)
        return os.read(ours, 65_536)
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.rule("CLI215")
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((200, "text/html", b"<p>hello</p>"), "is no trice server"),
        ((302, "text/html", b""), "is no trice server"),
        ((502, "text/html", b"bad gateway"), "with status 502, is no JSON"),
        ((200, "application/json", b"[" * 100_000), "is no trice server"),
        ((200, "application/json", b"\xff\xfe"), "is no trice server"),
        ((200, "application/json", b"3"), "does not answer as a trice server does"),
        ((200, "application/json", b'{"user": 3}'), "does not answer as a trice server does"),
        ((400, "application/json", b"[]"), "Status 400"),
        ((400, "application/json", b'{"message": "a\\u001b[2J"}'), "a\\x1b[2J"),
        ((400, "application/json", b'{"message": "no", "hint": {"errors": [3, {}]}}'), "no"),
    ],
)
def test_answers_that_no_server_of_ours_gives(
    ann: Person, stranger: Any, answer: Any, told: str
) -> None:
    stranger.answer = answer
    done = ann.run("whoami", "--url", stranger.url)
    assert done.exit_code == 1 and told in done.stderr, done.output
    assert done.stderr.startswith("Error: ") and "Traceback" not in done.stderr
    assert len(stranger.requests) == 1  # nothing is followed elsewhere


@pytest.mark.rule("CLI215")
def test_an_answer_that_is_too_large_ends(
    ann: Person, stranger: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "ANSWER_BYTES_MAX", 1 << 20)
    stranger.answer = (200, "application/json", b'"' + b"x" * (2 << 20) + b'"')
    done = ann.run("whoami", "--url", stranger.url)
    assert done.exit_code == 1 and "The answer has more than 1 MiB." in done.stderr


@pytest.mark.rule("CLI215")
def test_refusals_are_told_with_their_places(ann: Person, tmp_path: Path) -> None:
    down = ann.run("apps", "list", "--url", "http://127.0.0.1:1")
    assert down.exit_code == 1
    assert down.stderr == "Error: http://127.0.0.1:1 does not answer: Connection refused.\n"
    for url in (
        "localhost:8888",
        "ftp://x",
        "http://",
        "http://x:y",
        "http://u:p@x",
        "http://\x1b",
    ):
        wrong = ann.run("apps", "list", "--url", url)
        assert wrong.exit_code == 2 and "no URL of a server" in wrong.stderr, url
    wrong = ann.run("apps", "list", "--token", "a b")
    assert wrong.exit_code == 2 and "a b" not in wrong.stderr.splitlines()[-1]
    rules = tmp_path / "rules.json"
    rules.write_text('{"todos": {"allow": {"view": "nonsense(", "create": "1 +"}}}')
    refused = ann.run("apps", "create", "x", "--rules", rules)
    assert refused.exit_code == 1
    assert "todos.allow.view" in refused.stderr and "todos.allow.create" in refused.stderr


@pytest.mark.rule("CLI213", "CLI215")
def test_many_faults_are_cut(ann: Person, stranger: Any) -> None:
    errors = [{"in": ["a", number], "message": f"fault {number}"} for number in range(100)]
    body = {"message": "It is wrong.", "hint": {"errors": errors}}
    stranger.answer = (400, "application/json", json.dumps(body).encode())
    told = ann.run("whoami", "--url", stranger.url).stderr.splitlines()
    assert told[:2] == ["Error: It is wrong.", "  a.0: fault 0"]
    assert told[-1] == f"  … and {100 - remote.FAULTS_MAX} more."


@pytest.mark.rule("CLI211")
def test_questions_are_no_data() -> None:
    done = CliRunner().invoke(main, ["logout", "--url", "http://127.0.0.1:1"])
    assert done.exit_code == 1 and done.stdout == ""
