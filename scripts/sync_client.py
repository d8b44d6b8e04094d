"""Make the sync half of the Python client of its async half (`make gen`).

Each file of `_async` is written to `_sync` with other words; nothing else differs. So there is one
implementation, and the sync half needs neither a loop nor a thread.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "clients" / "python" / "src" / "trice_client"
HEAD = "# Made of `_async/{name}` by `make gen`: change that file.\n"

_WORDS = (
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bhttpx\.AsyncByteStream\b", "httpx.SyncByteStream"),
    (r"\bhandle_async_request\b", "handle_request"),
    (r"\bAsync(?=[A-Z])", ""),
    (r"\basynccontextmanager\b", "contextmanager"),
    (r"\b__a(enter|exit|iter|next)__", r"__\1__"),
    (r"\baclose\b", "close"),
    (r"\baiter_(bytes|raw)\b", r"iter_\1"),
    (r"\b_async\b", "_sync"),
    (r"\bsleep_async as sleep\b", "sleep"),
    (r"\bin_thread_async as in_thread\b", "in_thread"),
    (r"\bhttpx\.AsyncClient\b", "httpx.Client"),
    (r"\btrice_client\._live\.watch import Live\b", "trice_client._threaded import LiveIterator"),
    (r"\bLive\[", "LiveIterator["),
)


def sync_text(text: str, name: str) -> str:
    """The sync form of one file."""
    for pattern, word in _WORDS:
        text = re.sub(pattern, word, text)
    return HEAD.format(name=name) + text


def made() -> dict[Path, str]:
    """What each file of `_sync` should be, formatted."""
    found = {}
    for source in sorted((PACKAGE / "_async").glob("*.py")):
        target = PACKAGE / "_sync" / source.name
        found[target] = formatted(
            sync_text(source.read_text(encoding="utf-8"), source.name), target
        )
    return found


def formatted(text: str, target: Path) -> str:
    """As ruff leaves it: shorter words join lines, and other names sort elsewhere."""
    for command in (("check", "--fix-only", "--select", "I"), ("format",)):
        text = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--quiet", "--stdin-filename", target, "-"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        ).stdout
    return text


def main() -> None:
    """Write the files, and remove those whose source is gone."""
    files = made()
    for old in set((PACKAGE / "_sync").glob("*.py")) - set(files):
        old.unlink()
    for target, text in files.items():
        target.parent.mkdir(exist_ok=True)
        target.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
