"""A step of hatchling: what `compile.py` made goes into the wheel, beside the modules it is of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompiledWheel(BuildHookInterface):
    """Only where it is asked for: `make package COMPILED=1`.

    The wheel is for this Python and machine, and says so in its name. Its modules stay as they are
    for whoever reads them or a traceback.
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
