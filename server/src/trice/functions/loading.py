"""A project's folder → its program, or all that is wrong with it.

    chat/  schema.py                      the schema, if it is in Python
           functions/messages.py          messages.recent, messages.send
           functions/billing/invoices.py  billing.invoices.pay

The folder is what `import` begins from: `from schema import Db`, `from functions.messages import
send`. A function belongs to the module that defines it. One project is loaded at a time in a
process: loading another one, or the same anew, forgets the modules of the one before.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from trice.function_limits import FUNCTIONS_MAX
from trice.functions.endpoints import METHODS
from trice.functions.entries import Entry, Misdeclared, make_entry
from trice.functions.frames import LoadError
from trice.functions.function import Function
from trice.functions.hints import Hints
from trice.functions.model import Model
from trice.functions.paths import Path as RoutePath
from trice.functions.paths import are_ambiguous, parse_path
from trice.functions.program import Program
from trice.functions.shapes import HintError
from trice.functions.signature import Signature
from trice.hook_limits import HOOKS_MAX
from trice.job_limits import CRONS_MAX
from trice.schema.declare import Schema
from trice.schema.document import Document
from trice.schema.reading import Misread, line_of, read_schema

_FOLDER: Final = "functions"
_SCHEMA: Final = "schema"


class LoadErrors(Exception):
    """A project that cannot be loaded: everything that is wrong with it."""

    def __init__(self, errors: list[LoadError]) -> None:
        told = [f"{each.file}:{each.line or ''} {each.message}" for each in errors]
        super().__init__("\n".join(each.removeprefix(": ") for each in told))
        self.errors = errors


def load_program(
    path: Path, env: Mapping[str, str] | None = None, *, is_anew: bool = True
) -> Program:
    """Import a project and check all of its functions.

    path     its folder
    env      what `ctx.env` has; None: the environment of the process
    is_anew  False: modules of it that were imported already are taken as they are, so that who
             imported them, as tests do, has the functions of the program
    raises   LoadErrors
    """
    loading = _Loading(path.resolve())
    return loading.program(os.environ if env is None else env, is_anew=is_anew)


class _Loading:
    """Collects the errors of one project."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._errors: dict[tuple[str, int | None, str], LoadError] = {}

    def program(self, env: Mapping[str, str], *, is_anew: bool) -> Program:
        paths = sorted(self._modules())
        _forget_projects(kept=None if is_anew else self._root)
        sys.path.insert(0, str(self._root))
        _roots.append(self._root)
        importlib.invalidate_caches()
        writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        try:  # code that was kept is taken for that of a file saved again in the same second
            schema, document = self._schema()
            modules = [found for path in paths if (found := self._import(path)) is not None]
            for path in paths:
                self._check_twice(path)
        finally:
            sys.dont_write_bytecode = writes
        if schema is None and (self._root / f"{_SCHEMA}.py").is_file():
            self._raise()  # what a hint means depends on the schema
        hints = Hints(Model(schema))
        entries = [entry for module in modules for entry in self._entries(module, hints)]
        _parsed.cache_clear()
        self._check_names(entries)
        self._check_routes([entry.signature for entry in entries])
        if self._errors:
            self._raise()
        return Program(self._root, entries, hints=hints, schema=document, env=env)

    def _raise(self) -> None:
        raise LoadErrors(sorted(self._errors.values(), key=lambda one: (one.file, one.line or 0)))

    def _note(self, file: Path | str, line: int | None, message: str) -> None:
        path = Path(file)
        if path.is_absolute() and path.is_relative_to(self._root):
            path = path.relative_to(self._root)
        # Python names whole paths, of a copy that the server keeps.
        message = message.replace(f"{self._root}{os.sep}", "")
        told = LoadError(file=path.as_posix(), line=line, message=message)
        self._errors.setdefault((told.file, line, message), told)

    # --- files ------------------------------------------------------------------------------------

    def _modules(self) -> Iterator[Path]:
        """The modules of functions. Names with an underscore are private: imported by others."""
        folder = self._root / _FOLDER
        if not folder.is_dir():
            self._note(folder, None, "The project has no folder functions/")
            return
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder).with_suffix("").parts
            named = parts[:-1] if parts[-1] == "__init__" else parts
            if any(part.startswith((".", "_")) for part in named) or "__pycache__" in parts:
                continue
            above = (folder.joinpath(*parts[:depth]) for depth in range(1, len(parts)))
            if any(each.with_suffix(".py").is_file() for each in above):
                continue  # told with the module that hides it
            wrong = next((part for part in named if not part.isidentifier()), None)
            if wrong is not None:
                told = f"{wrong} is no name of a module: letters, digits and _, no digit first"
                self._note(path, None, told)
            elif path.with_suffix("").is_dir():
                told = (
                    f"{path.name} stands beside a folder {path.stem}/: one of them hides the other"
                )
                self._note(path, None, told)
            else:
                yield path

    def _import(self, path: Path) -> ModuleType | None:
        parts = path.relative_to(self._root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        try:
            return importlib.import_module(name)
        except SyntaxError as failure:
            self._note(failure.filename or path, failure.lineno, f"{failure.msg}")
        except (Exception, SystemExit) as failure:
            file, line = self._place(path, failure)
            self._note(file, line, f"{type(failure).__name__}: {failure}")
        return None

    def _place(self, path: Path, failure: BaseException) -> tuple[Path, int | None]:
        """The last line of the project that an exception went through."""
        for frame in reversed(traceback.extract_tb(failure.__traceback__)):
            file = Path(frame.filename)
            if file.is_absolute() and file.is_relative_to(self._root):
                return file, frame.lineno
        return path, None

    # --- the schema -------------------------------------------------------------------------------

    def _schema(self) -> tuple[type[Schema] | None, Document | None]:
        path = self._root / f"{_SCHEMA}.py"
        if not path.is_file():
            return None, None
        module = self._import(path)
        if module is None:
            return None, None
        found = [
            each
            for each in vars(module).values()
            if isinstance(each, type) and issubclass(each, Schema) and each is not Schema
        ]
        if len(found) != 1:
            listed = ", ".join(each.__name__ for each in found) or "no class"
            told = f"A file has one class below Schema, such as `class Db(Schema)`; it has {listed}"
            self._note(path, None, told)
            return None, None
        try:
            return found[0], read_schema(found[0])
        except Misread as failure:
            self._note_class(failure.cls, failure.name, failure.message)
            return None, None

    # --- functions --------------------------------------------------------------------------------

    def _entries(self, module: ModuleType, hints: Hints) -> Iterator[Entry]:
        file = Path(inspect.getsourcefile(module) or "")
        prefix = module.__name__.removeprefix(f"{_FOLDER}.")
        for name, function in list(vars(module).items()):
            self._check_hidden(file, name, function, module)
            if not isinstance(function, Function) or function.__module__ != module.__name__:
                continue
            line = _line_of_function(function)
            own = function.__name__
            if name != own:
                if vars(module).get(own) is not function and not own.startswith("_"):
                    told = f"{name} was defined as {own}: a function is called as it is defined"
                    self._note(file, line, told)
                continue
            if name.startswith("_"):
                continue
            where = file.relative_to(self._root).as_posix()
            try:
                yield make_entry(function, f"{prefix}.{name}", where, line, hints)
            except Misdeclared as failure:
                self._note(file, _line_of_argument(function, failure.argument), failure.message)
            except HintError as failure:
                assert failure.cls is not None, "others are told with their function"
                self._note_class(failure.cls, failure.name, failure.message)

    def _check_hidden(self, file: Path, name: str, found: Any, module: ModuleType) -> None:
        """A function that nobody could call: below another decorator, or in a class."""
        if getattr(found, "__module__", None) != module.__name__:
            return
        inner = getattr(found, "__wrapped__", None)
        if isinstance(inner, Function) and not isinstance(found, type):
            told = f"{name} has a decorator above @{inner.kind}, which hides it: write it below"
            self._note(file, _line_of_function(inner), told)
        for each in vars(found).values() if isinstance(found, type) else ():
            if isinstance(each, Function):
                told = f"{each.__name__} is in a class: functions are at the top of a module"
                self._note(file, _line_of_function(each), told)

    def _note_class(self, cls: type, name: str | None, message: str) -> None:
        """An error at a class or an attribute of it, which may be in another file."""
        if name is not None:
            owners = [each for each in cls.__mro__ if name in vars(each).get("__annotations__", {})]
            cls = owners[0] if owners else cls
        file, line = self._root, None
        try:
            file = Path(inspect.getsourcefile(cls) or self._root)
            line = line_of(file.read_text(encoding="utf-8"), cls.__qualname__, name)
        except (OSError, TypeError, SyntaxError, UnicodeDecodeError):
            pass
        shown = cls.__name__ if name is None else f"{cls.__name__}.{name}"
        self._note(file, line, f"{shown}: {message}")

    def _check_twice(self, path: Path) -> None:
        """A name that a module defines again: Python keeps the last one and says nothing."""
        try:
            tree = _parsed(path.read_text(encoding="utf-8"))
        except (OSError, SyntaxError, ValueError):
            return  # told by its import
        lines: dict[str, int] = {}
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.decorator_list:
                first = lines.setdefault(node.name, node.lineno)
                if first != node.lineno and any(map(_is_ours, node.decorator_list)):
                    told = f"{node.name} is defined in line {first} already: this one hides it"
                    self._note(path, node.lineno, told)

    def _check_names(self, entries: list[Entry]) -> None:
        if len(entries) > FUNCTIONS_MAX:
            told = f"A project has {FUNCTIONS_MAX:,} functions at most; it has {len(entries):,}"
            self._note(self._root / _FOLDER, None, told)
        timed = [entry for entry in entries if entry.signature.schedule is not None]
        if len(timed) > CRONS_MAX:
            told = f"A project has {CRONS_MAX} functions at most that run by themselves"
            self._note(timed[CRONS_MAX].signature.file, timed[CRONS_MAX].signature.line, told)
        following = [entry for entry in entries if entry.signature.hook is not None]
        if len(following) > HOOKS_MAX:
            told = f"A project has {HOOKS_MAX} functions at most that follow changes"
            first = following[HOOKS_MAX].signature
            self._note(first.file, first.line, told)
        taken: dict[str, Signature] = {}
        for signature in (entry.signature for entry in entries):
            for name in (signature.name, *signature.also):
                other = taken.setdefault(name, signature)
                if other is not signature:
                    told = f"{name} is also {other.name}, of {other.file}:{other.line}"
                    self._note(self._root / signature.file, signature.line, told)

    def _check_routes(self, signatures: list[Signature]) -> None:
        """Endpoints of which a request could mean either."""
        seen: dict[tuple[str, int], list[tuple[RoutePath, Signature]]] = {}
        for each in signatures:
            if each.route is None:
                continue
            path = parse_path(each.route.path)
            alike = seen.setdefault((each.route.method, len(path.segments)), [])
            other = next((pair for pair in alike if are_ambiguous(path, pair[0])), None)
            alike.append((path, each))
            if other is not None:
                told = _ambiguous(each, other[1], is_same=path.segments == other[0].segments)
                self._note(self._root / each.file, each.line, told)


def _ambiguous(one: Signature, other: Signature, *, is_same: bool) -> str:
    assert one.route is not None and other.route is not None, "they are endpoints"
    shown = f"{one.route.method} {one.route.path}"
    where = f"{other.name}, of {other.file}:{other.line}"
    if is_same:
        return f"{shown} is also {where}"
    return (
        f"{shown} and {other.route.path} may both be meant by one request: write out a segment that"
        f" tells them apart. The other is {where}"
    )


# --- lines ----------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1)
def _parsed(source: str) -> ast.Module:
    """A module, which is asked for once for each of its functions, one module after the other."""
    return ast.parse(source)


def _line_of_function(function: Function[..., Any]) -> int:
    code = getattr(inspect.unwrap(function.body), "__code__", None)
    first: int = getattr(code, "co_firstlineno", 1)
    found = _definition(function, first)
    return first if found is None else found.lineno


def _is_ours(decorator: ast.expr) -> bool:
    """Whether it looks like `@query`, `@mutation(…)`, `@internal.action` or `@http.get(…)`."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    owner = called.value if isinstance(called, ast.Attribute) else None
    is_http = isinstance(owner, ast.Name) and owner.id == "http" and name in METHODS
    return is_http or name in ("query", "mutation", "action", "on_change")


def _line_of_argument(function: Function[..., Any], argument: str | None) -> int:
    line = _line_of_function(function)
    found = _definition(function, line)
    if argument is None or found is None:
        return line
    args = (*found.args.posonlyargs, *found.args.args, *found.args.kwonlyargs)
    varied = (each for each in (found.args.vararg, found.args.kwarg) if each is not None)
    return next((each.lineno for each in (*args, *varied) if each.arg == argument), line)


def _definition(
    function: Function[..., Any], line: int
) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """The `def` of a function, whose decorators or itself stand at a line."""
    body = inspect.unwrap(function.body)
    try:
        source = Path(inspect.getsourcefile(body) or "").read_text(encoding="utf-8")
        tree = _parsed(source)
    except (OSError, TypeError, SyntaxError, UnicodeDecodeError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            if first <= line <= node.lineno and node.name == body.__name__:
                return node
    return None


# --- projects loaded before -----------------------------------------------------------------------

_roots: list[Path] = []
"""Folders of projects on `sys.path`."""


def _forget_projects(*, kept: Path | None) -> None:
    """Take the modules of projects loaded before away, and their folders from the path.

    kept   the modules of this one stay
    """
    for root in _roots:
        if str(root) in sys.path:
            sys.path.remove(str(root))
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or next(
            iter(getattr(module, "__path__", ())), None
        )
        if kept is not None and file is not None and Path(file).is_relative_to(kept):
            continue
        is_theirs = file is not None and any(Path(file).is_relative_to(root) for root in _roots)
        if is_theirs or name.partition(".")[0] in (_FOLDER, _SCHEMA):
            del sys.modules[name]
    _roots.clear()
