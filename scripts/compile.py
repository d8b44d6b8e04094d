"""Compile the server's modules to machine code: a copy of the tree with extensions beside them.

usage   compile.py FOLDER [LEVEL [MODULE...]]     FOLDER is made anew; LEVEL of the C compiler, 0 to
        3 (2); MODULE `query.plan`: these alone instead of all

mypyc, which comes with mypy, does the work. Python prefers an extension to the module beside it, so
`PYTHONPATH=FOLDER` runs the compiled server. Needs a C compiler and the headers of Python.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from mypyc.build import mypycify
from setuptools import setup
from setuptools.command.build_ext import build_ext

ROOT: Final = Path(__file__).resolve().parents[1]
SOURCE: Final = ROOT / "server" / "src"

COMPILED: Final = (
    *("catalog", "cel", "live", "protocol", "query", "rules", "session", "store", "transact"),
    *("errors", "identity", "metrics", "rate_limit", "shares", "slow_log"),
)
"""Folders and modules of `trice` that compute. The others wait for I/O, or wire parts together."""

INTERPRETED: Final = {
    "catalog.attr": "read by its annotations (msgspec)",
    "catalog.catalog": "properties that are cached, and weak references to it",
    "catalog.platform": "read once, and tests stand in for it",
    "cel.uint": "a subclass of int",
    "live.live": "tests stand in for its runs",
    "live.planner": "little work, and tests stand in for it",
    "protocol.http_bodies": "structs",
    "protocol.messages_down": "structs",
    "protocol.shared": "a subclass of bytes",
    "protocol.tx_steps": "structs",
    "protocol.up": "structs",
    "query.hole": "a subclass of bytes",
    "query.sql.forms": "copies an object past its `__init__`",
    "rules.document": "weak references to it",
    "rules.room_rights": "little work, and tests stand in for it",
    "rules.write_check": "structs",
    "session.dispatch": "little work, and tests stand in for it",
    "session.hub": "little work, and tests stand in for it",
    "session.long_messages": "little work, and tests stand in for it",
    "session.ops": "a generic dataclass with slots",
    "session.picows_socket": "classes inside functions, and one of a Cython class",
    "session.weigh": "little work, and tests stand in for it",
    "store.commit": "structs",
    "store.sqlite.dialect": "tests derive the dialects of other layouts from it",
    "store.sqlite.engine": "little work, and tests stand in for it",
    "store.sqlite.engines": "seldom runs, and tests stand in for it",
    "store.sqlite.first_platform": "runs once, and tests stand in for it",
    "store.sqlite.loading": "seldom runs, and tests stand in for it",
    "store.sqlite.migrations": "runs at opening, and tests stand in for it",
    "store.sqlite.spread": "seldom runs, and tests stand in for it",
    "store.sqlite.statistics": "seldom runs, and tests stand in for it",
    "store.sqlite.writer": "tests stand in for how its groups end",
    "transact.steps": "structs",
    "transact.writes": "structs",
}
"""Modules in those folders that are not compiled, and why.

mypyc drops the options of structs without a word, refuses what is made from int or bytes, and binds
functions and methods of compiled modules for good: tests cannot replace them, nor derive from their
classes. `server/tests/test_compiled.py` holds the list against the code.
"""


def modules() -> dict[str, Path]:
    """The modules that are compiled, by dotted name without `trice`. `__init__` files have no
    code."""
    found = {}
    for name in COMPILED:
        place = SOURCE / "trice" / name
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]:
            dotted = ".".join(path.relative_to(SOURCE / "trice").with_suffix("").parts)
            if path.name != "__init__.py" and dotted not in INTERPRETED:
                found[dotted] = path
    return found


def compile_into(folder: Path, *, level: str, chosen: dict[str, Path]) -> None:
    """Copy the server into `folder` and compile `chosen` there; prints what came of it.

    level   how hard the C compiler tries, 0 to 3
    chosen  of `modules()`
    raises  SystemExit, with what mypyc or the C compiler says
    """
    began_s = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    paths = [str(path.relative_to(SOURCE)) for path in chosen.values()]
    os.chdir(folder)  # mypyc names modules by their paths from here
    os.environ["MYPYPATH"] = str(folder)
    extensions = mypycify(
        ["--config-file", str(ROOT / "pyproject.toml"), *paths],
        opt_level=level,
        debug_level="0",
        multi_file=True,
        target_dir="build",
        group_name="trice",
    )
    in_c_s = time.monotonic()
    setup(
        name="trice",
        ext_modules=extensions,
        cmdclass={"build_ext": _OnEveryCore},
        script_args=["--quiet", "build_ext", "--inplace"],
    )
    shutil.rmtree("build")
    ended_s = time.monotonic()

    size_bytes = sum(path.stat().st_size for path in Path().rglob("*.so"))
    for name, why in sorted(INTERPRETED.items()):
        _say(f"interpreted  trice.{name}: {why}")
    others = sorted({path.stem for path in SOURCE.glob("trice/[a-z]*")} - {*COMPILED, "py"})
    _say(f"interpreted  {', '.join(others)}: they wait, or say who works for whom")
    _say(
        f"compiled     {len(paths)} modules, {size_bytes / 1e6:.1f} MB, for {platform.platform()}:"
        f" {in_c_s - began_s:.0f} s into C, {ended_s - in_c_s:.0f} s into machine code"
    )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


class _OnEveryCore(build_ext):
    """Compiles the files of one extension in parallel; setuptools does one after the other."""

    def build_extensions(self) -> None:
        compile_one = self.compiler.compile

        def compile_all(sources: list[str], **options: Any) -> list[str]:
            with ThreadPoolExecutor(os.cpu_count()) as threads:
                made = threads.map(lambda source: compile_one([source], **options), sources)
                return [name for names in made for name in names]

        self.compiler.compile = compile_all
        super().build_extensions()


if __name__ == "__main__":
    match sys.argv[1:]:
        case [folder]:
            compile_into(Path(folder).resolve(), level="2", chosen=modules())
        case [folder, ("0" | "1" | "2" | "3") as level, *names]:
            every = modules()
            if unknown := [name for name in names if name not in every]:
                raise SystemExit(f"not to be compiled: {', '.join(unknown)}")
            chosen = {name: every[name] for name in names} if names else every
            compile_into(Path(folder).resolve(), level=level, chosen=chosen)
        case _:
            raise SystemExit("usage: compile.py FOLDER [LEVEL [MODULE...]]")
