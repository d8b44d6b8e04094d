"""Whether the server can be compiled (`make compiled`), seen in its code and in its tests."""

from __future__ import annotations

import ast
import importlib
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from support.source import ROOT, parsed, trees_are_kept
from trice.query import plan

__all__ = ["trees_are_kept"]

COMPILE: Final = runpy.run_path(str(ROOT / "scripts" / "compile.py"))
COMPILED: Final[dict[str, Path]] = COMPILE["modules"]()
INTERPRETED: Final[dict[str, str]] = COMPILE["INTERPRETED"]
REFUSED: Final = frozenset(
    ("Struct", "msgspec.Struct", "int", "bytes", "str", "float", "tuple", "list", "WSListener")
)
"""What a compiled class cannot be made from, or not as it says."""

IS_COMPILED: Final = not str(plan.__file__).endswith(".py")


def test_what_is_not_compiled_is_there() -> None:
    for name in INTERPRETED:
        path = ROOT / "server" / "src" / "trice" / Path(*name.split("."))
        assert path.with_suffix(".py").is_file(), name
        assert name.split(".")[0] in COMPILE["COMPILED"], f"{name} is left out as it is"


@pytest.mark.rule("CLI150")
def test_no_compiled_module_holds_what_compiles_to_something_else() -> None:
    offenders = [
        f"trice.{name}:{line} {fault}: it belongs to INTERPRETED, or is written otherwise"
        for name, path in COMPILED.items()
        for line, fault in faults(parsed(path))
    ]
    assert offenders == []


def faults(module: ast.Module) -> Iterator[tuple[int, str]]:
    """What mypyc refuses, or takes for something else without a word."""
    made_anew = {
        ast.unparse(node.target)
        for node in module.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Tuple)
        if ast.unparse(node.annotation) == "Final"
    }
    for node in ast.walk(module):
        match node:
            case ast.Compare(ops=[ast.Is() | ast.IsNot()], comparators=[ast.Name(id=name)]) if (
                name in made_anew
            ):
                yield node.lineno, f"`{name}` is made anew wherever it is passed: `Final[tuple[…]]`"
            case ast.ClassDef(name=name, bases=bases) if {*map(ast.unparse, bases)} & REFUSED:
                yield node.lineno, f"{name} is a {ast.unparse(bases[0])}"
            case ast.ClassDef(bases=[ast.Name(id=base)], body=body) if base.endswith("Exception"):
                for inner in body:
                    if isinstance(inner, ast.Assign):
                        yield inner.lineno, "errors are made without it: `__init__` sets it"
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                for inner in ast.walk(node):
                    if isinstance(inner, ast.ClassDef):
                        yield inner.lineno, f"{inner.name} is a class inside a function"
                yield from generators_taken_apart(node)
            case ast.Call(func=ast.Attribute(value=ast.Call(func=ast.Name(id="super")))) as call:
                if any(keyword.arg is None for keyword in call.keywords):
                    yield node.lineno, "`super()` is given a dict as its first keyword"
            case ast.Import(names=[ast.alias(name="copy")]):
                yield node.lineno, "compiled objects are not made without `__init__`"
            case ast.ImportFrom(names=names):
                for each in names:
                    if each.name in ("cached_property", "WeakKeyDictionary", "WeakSet"):
                        yield node.lineno, f"{each.name} needs what compiled objects have not"
            case ast.MatchAs(pattern=ast.MatchOr(patterns=[*parts]), name=str(name)) if any(
                isinstance(part, ast.MatchSingleton) for part in parts
            ):
                yield node.lineno, f"`{name}` is not bound where the None matches"
            case ast.Attribute(attr="_thread", value=ast.Name(id="self")):
                yield node.lineno, "`_thread` is a word of C with its prefix"


def generators_taken_apart(function: ast.AST) -> Iterator[tuple[int, str]]:
    """Generator expressions that are kept become lists, which no `next` takes."""
    name = getattr(function, "name", "")
    kept = {
        target.id
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.GeneratorExp)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(function):
        match node:
            case ast.Call(func=ast.Name(id="next"), args=[ast.Name(id=given), *_]) if given in kept:
                yield node.lineno, f"`{given}` is a list when it is compiled"
            case ast.Return(value=ast.GeneratorExp()) if name == "__iter__":
                yield node.lineno, "an iterator is a list when it is compiled"


@pytest.mark.rule("CLI151")
def test_no_test_replaces_what_is_bound_when_it_is_compiled() -> None:
    offenders = [
        f"{path.relative_to(ROOT)}:{line} replaces {what}: give the code a seam"
        for path in sorted((ROOT / "server" / "tests").rglob("*.py"))
        if "node_modules" not in path.parts
        for line, what in replaced(path)
    ]
    assert offenders == []


def replaced(path: Path) -> Iterator[tuple[int, str]]:
    """Functions and methods of compiled modules that tests set, unless they say why they may, and
    classes that tests derive from theirs. A table `(owner, "name", double)` counts as setting."""
    module, lines = parsed(path), path.read_text(encoding="utf-8").splitlines()
    compiled = {}
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom):
            origin = (node.module or "").removeprefix("trice.")
            for each in node.names:
                if f"{origin}.{each.name}" in COMPILED or origin in COMPILED:
                    compiled[each.asname or each.name] = f"{origin}.{each.name}"
    for function in module.body:
        if "interpreted" in "".join(map(ast.unparse, getattr(function, "decorator_list", ()))):
            continue
        for node in ast.walk(function):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="setattr"),
                    args=[ast.Name(id=owner), ast.Constant(value=str(name)), *_],
                ) if owner in compiled and "# interpreted: " not in lines[node.lineno - 1]:
                    yield node.lineno, f"{compiled[owner]}.{name}"
                case ast.Tuple(
                    elts=[
                        ast.Name(id=owner),
                        ast.Constant(value=str(name)),
                        ast.Name() | ast.Call(),
                    ]
                ) if owner in compiled:
                    yield node.lineno, f"{compiled[owner]}.{name}"
                case ast.ClassDef(name=name, bases=bases):
                    for base in bases:
                        if isinstance(base, ast.Name) and base.id in compiled:
                            yield node.lineno, f"{compiled[base.id]}, which {name} derives from"


@pytest.mark.rule("CLI152")
@pytest.mark.skipif(not IS_COMPILED, reason="of the tree as it is")
def test_what_can_be_compiled_is_and_nothing_else() -> None:
    for names, ending in ((COMPILED, ".so"), (INTERPRETED, ".py")):
        for name in names:
            module: Any = importlib.import_module(f"trice.{name}")
            assert str(module.__file__).endswith(ending), module
