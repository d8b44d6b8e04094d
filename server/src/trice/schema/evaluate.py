"""`python -m trice.schema.evaluate FILE DESCRIPTOR MS`: run a `schema.py`, tell what it declares.

    {"value": document}
    {"fault": {"file": path, "line": number | null, "message"}}

It is a process of its own, as the file is code: it may print, end the process, or never end. The
answer goes to a descriptor of its own. After MS it is the line that runs.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import json
import os
import sys
import threading
import traceback
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from trice.schema.declare import Schema, link
from trice.schema.reading import Misread, line_of, read_schema

_NAME = "schema"


def main(file: str, descriptor: str, wait_ms: str) -> None:
    """Answer, and end the process."""
    answers = int(descriptor)
    path = Path(file).resolve()
    sys.path.insert(0, str(path.parent))
    watch = threading.Timer(int(wait_ms) / 1000, _give_up, (answers, path, wait_ms))
    watch.daemon = True
    watch.start()
    _answer(answers, _evaluate(path))


def _answer(answers: int, told: dict[str, Any]) -> None:
    for printed in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            printed.flush()
    with os.fdopen(answers, "wb") as out:
        out.write(json.dumps(told).encode())
    os._exit(0)  # no thread or exit handler of the file keeps the process


def _fault(file: str | Path, line: int | None, message: str) -> dict[str, Any]:
    return {"fault": {"file": str(file), "line": line, "message": message}}


def _evaluate(path: Path) -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location(_NAME, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[_NAME] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as failure:
        return _fault(failure.filename or path, failure.lineno, f"{failure.msg}")
    except BaseException as failure:
        line = _line_in(path, failure)
        return _fault(path, line, f"{type(failure).__name__}: {failure}{_advice(failure)}")
    try:
        return {"value": read_schema(_the_schema(module))}
    except Misread as failure:
        return _misread(path, failure)
    except _NoSchema as failure:
        return _fault(path, None, str(failure))


def _advice(failure: BaseException) -> str:
    """What is accepted instead, for the two mistakes that are made while classes are written."""
    if isinstance(failure, NameError):
        return f'. A class that stands further down is named in quotes: One["{failure.name}"]'
    if isinstance(failure, TypeError) and "link()" in str(failure):
        return f". Accepted is link{inspect.signature(link)}"
    return ""


class _NoSchema(Exception):
    """The file has not one class of namespaces."""


def _the_schema(module: ModuleType) -> type[Schema]:
    found = [
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Schema) and each.__module__ == _NAME
    ]
    if len(found) == 1:
        return found[0]
    how_many = "no class" if not found else ", ".join(each.__name__ for each in found)
    raise _NoSchema(
        f"A file has one class below Schema, such as `class Db(Schema)`; it has {how_many}"
    )


def _misread(path: Path, failure: Misread) -> dict[str, Any]:
    """The fault with the line of the class that has the attribute, which may be in another file."""
    cls: type = failure.cls
    if failure.name is not None:
        owners = [
            each for each in cls.__mro__ if failure.name in vars(each).get("__annotations__", {})
        ]
        cls = owners[0] if owners else cls
    try:
        file = Path(inspect.getsourcefile(cls) or path)
        line = line_of(file.read_text(encoding="utf-8"), cls.__qualname__, failure.name)
    except (OSError, TypeError, SyntaxError, UnicodeDecodeError):
        file, line = path, None
    name = cls.__name__ if failure.name is None else f"{cls.__name__}.{failure.name}"
    return _fault(file, line, f"{name}: {failure.message}")


def _line_in(path: Path, failure: BaseException) -> int | None:
    """The last line of the file that an exception went through."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(failure.__traceback__)
        if Path(frame.filename) == path
    ]
    return lines[-1] if lines else None


def _give_up(answers: int, path: Path, wait_ms: str) -> None:
    frame: FrameType | None = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None and Path(frame.f_code.co_filename) != path:
        frame = frame.f_back
    line = None if frame is None else frame.f_lineno
    told = f"It did not end within {int(wait_ms) / 1000:g} s, and is at this line"
    _answer(answers, _fault(path, line, told))


if __name__ == "__main__":
    main(*sys.argv[1:])
