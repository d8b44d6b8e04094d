"""Log lines: whose are heard."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from trice import limits, log
from trice.session import picows_socket


@pytest.fixture
def logging_restored():
    root, own = logging.getLogger(), logging.getLogger("trice")
    handlers, levels = list(root.handlers), (root.level, own.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    own.setLevel(levels[1])


@pytest.mark.rule("CLI10")
@pytest.mark.parametrize("level", ["debug", "info"])
def test_sockets_of_the_library_are_no_news(logging_restored, level):
    log.set_up(level)
    library = picows_socket.library_logger.getChild("7")
    assert not library.isEnabledFor(logging.INFO)
    assert library.isEnabledFor(logging.WARNING)
    assert logging.getLogger("trice.session").isEnabledFor(logging.INFO)


def written(capsys, level, message, *arguments, **options):
    """What one call writes to standard error, as JSON."""
    log.set_up("debug", "json")
    logging.getLogger("trice.x").log(level, message, *arguments, **options)
    (line,) = capsys.readouterr().err.splitlines()
    return json.loads(line)


@pytest.mark.rule("CLI49")
def test_json_lines_have_fields_apart(logging_restored, capsys):
    pairs = log.fields(app="a", ms=1.5, ok=True, count=3, none=None, message="m\nn", path=Path("p"))
    line = written(capsys, logging.WARNING, "done %d %s", 7, pairs)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": "trice.x",
        "message": "done 7",
        "app": "a",
        "ms": 1.5,
        "ok": True,
        "count": 3,
        "message_": "m\nn",
        "path": "p",
    }


@pytest.mark.rule("CLI49")
def test_json_lines_hold_tracebacks_and_any_text(logging_restored, capsys):
    try:
        raise ValueError("a\u2028b")
    except ValueError:
        line = written(capsys, logging.ERROR, "100 % \ud83d failed", exc_info=True)
    assert line["message"] == "100 % \ud83d failed"
    assert "ValueError: a\u2028b" in line["traceback"]


@pytest.mark.rule("CLI49")
@pytest.mark.parametrize("form", log.FORMATS)
def test_long_values_are_cut(logging_restored, capsys, form):
    log.set_up("debug", form)
    size = 50 * limits.LOG_VALUE_CHARS_MAX
    logging.getLogger("trice.x").info("x %s", log.fields(value="y" * size))
    error = capsys.readouterr().err
    assert len(error) < limits.LOG_VALUE_CHARS_MAX + 200
    assert f"({size - limits.LOG_VALUE_CHARS_MAX} more)" in error


@pytest.mark.rule("H91")
@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("todos", "todos"),
        ("a status=200", "'a status=200'"),
        ("a=1", "'a=1'"),
        ("'a'", "\"'a'\""),
        ("", "''"),
        ("a\r\nb", r"'a\r\nb'"),
        ("\x1b[31m", r"'\x1b[31m'"),
        ("a\u202eb", r"'a\u202eb'"),
        (7, "7"),
        (Path("/a/b"), "/a/b"),
    ],
)
def test_a_value_looks_like_one_value(value, shown):
    assert str(log.fields(key=value)) == f"key={shown}"


@pytest.mark.rule("F13")
def test_what_happens_at_every_request_is_one_line_a_minute():
    seldom = log.Seldom()

    def line(second):
        record = logging.LogRecord("x", 40, "", 1, "full %s", (log.fields(disk="a"),), None)
        record.created = 1_000_000 + second
        return record.getMessage() if seldom.filter(record) else None

    assert [line(second) for second in (0, 1, 59)] == ["full disk=a", None, None]
    assert line(61) == "full disk=a left-out=2"
    assert line(62) is None
    assert line(-3_600) == "full disk=a left-out=1"  # the clock was set back
    assert line(-3_500) == "full disk=a"
