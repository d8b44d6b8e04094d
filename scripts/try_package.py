"""Install a built wheel or sdist into an empty environment and run its command.

usage   try_package.py FILE...      exit code 0: every file works
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from urllib.request import urlopen

WAIT_S = 60


def main(files: list[str]) -> None:
    if not files:
        raise SystemExit("usage: try_package.py FILE...")
    for name in files:
        file = Path(name).resolve(strict=True)
        with tempfile.TemporaryDirectory(prefix="trice-package-") as folder:
            sys.stdout.write(f"{file.name}: {try_package(file, Path(folder))}\n")
            sys.stdout.flush()


def try_package(file: Path, folder: Path) -> str:
    """Install `file`, let its command serve and stop; return the version that it prints."""
    venv.create(folder / "venv", with_pip=True)
    programs = folder / "venv" / "bin"
    # Without the source tree, and without the environment that built the package.
    bare = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    pip = [programs / "python", "-m", "pip", "--disable-pip-version-check", "-qq"]
    subprocess.run([*pip, "install", file], cwd=folder, env=bare, check=True)
    subprocess.run([*pip, "check"], cwd=folder, env=bare, check=True)
    if not file.name.endswith(("-none-any.whl", ".tar.gz")):
        show = "import trice.query.plan as plan; assert plan.__file__.endswith('.so'), plan"
        subprocess.run([programs / "python", "-c", show], cwd=folder, env=bare, check=True)
    version = subprocess.run(
        [programs / "trice", "--version"],
        cwd=folder,
        env=bare,
        check=True,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )
    command = [programs / "trice", "serve", "--port", "0", "--data-dir", folder / "data"]
    with subprocess.Popen(
        command, cwd=folder, env=bare, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            ready = server.stdout.readline()
            if not ready.startswith("trice is ready at "):
                raise SystemExit(f"{file.name}: the server did not start: {ready!r}")
            url = ready.split()[-1]
            with urlopen(f"{url}/health", timeout=WAIT_S) as answer:
                health = json.load(answer)
            if health.get("status") != "ok":
                raise SystemExit(f"{file.name}: /health answered {health}")
            server.send_signal(signal.SIGTERM)
            if server.wait(WAIT_S) != 0:
                raise SystemExit(f"{file.name}: the server ended with {server.returncode}")
        finally:
            server.kill()
    return f"{version.stdout.strip()} serves and stops"


if __name__ == "__main__":
    main(sys.argv[1:])
