"""A step of hatchling: puts the extensions that `compile.py` made beside their modules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompiledWheel(BuildHookInterface):
    """Runs only for `make package COMPILED=1`.

    The wheel is for this Python and machine, and its name says so. The Python modules stay in it,
    for people and tracebacks.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        folder = Path(self.root, "build", "compiled")
        extensions = sorted(folder.rglob("*.so"))
        if not extensions:
            raise RuntimeError(f"{folder} holds nothing compiled; scripts/compile.py comes first.")
        for path in extensions:
            build_data["force_include"][str(path)] = str(path.relative_to(folder))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
