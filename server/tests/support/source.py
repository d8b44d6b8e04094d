"""The project's Python files as trees, for tests that judge how they are written."""

from __future__ import annotations

import ast
import gc
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SOURCE = ROOT / "server" / "src"


@pytest.fixture(scope="module", autouse=True)
def trees_are_kept() -> Iterator[None]:
    """A file of tests that wants trees imports this, and they are parsed once for it.

    All of them are two million objects. The collector would look at them again and again while they
    are made (five times as long as parsing), and in every later test of the process.
    """
    gc.disable()
    yield
    for kept in (parsed, modules, imports):
        kept.cache_clear()
    gc.enable()


@cache
def parsed(path: Path) -> ast.Module:
    """A file. Nobody changes the tree."""
    return ast.parse(path.read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Module:
    """One parsed Python file of the server."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def docstring(self) -> str:
        return ast.get_docstring(self.tree) or ""

    def at(self, node: ast.AST) -> str:
        return f"{self.path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


@cache
def modules() -> dict[str, Module]:
    """The server's modules by dotted name; a package is known by its `__init__.py`."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = Module(name, path, parsed(path))
    return found


@cache
def imports(name: str) -> tuple[tuple[str, int], ...]:
    """Modules that `name` imports, wherever in the file, each with its line."""
    known = modules()
    found: list[tuple[str, int]] = []
    for node in ast.walk(known[name].tree):
        if isinstance(node, ast.Import):
            found.extend((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{known[name].at(node)} imports relatively"
            origin = node.module or ""
            for alias in node.names:
                inner = f"{origin}.{alias.name}"
                found.append((inner if inner in known else origin, node.lineno))
    return tuple(found)
