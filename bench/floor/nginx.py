"""The floor of files: nginx, with `PUT` by WebDAV and `sendfile`. `nginx.py DATA_DIR`.

It answers the few requests of the bench. There are no rows, rules, hashes or signatures, and
nothing is synced to the disk.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
UNPACKED = HERE / "nginx-package"
START_LIMIT_S = 10

CONFIG = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  sendfile on;
  keepalive_requests 1000000;
  client_max_body_size 0;
  client_body_temp_path {folder}/coming;
  proxy_temp_path {folder}/temp;
  fastcgi_temp_path {folder}/temp;
  uwsgi_temp_path {folder}/temp;
  scgi_temp_path {folder}/temp;
  default_type application/octet-stream;
  server {{
    listen 127.0.0.1:{port};
    location = /health {{ return 200 "{{}}"; }}
    location = /dash/apps/ephemeral {{ return 200 '{{"app": {{"id": "bench"}}}}'; }}
    location = /storage/signed-download-url {{
      return 200 '{{"data": "http://$http_host/files/$arg_filename"}}';
    }}
    location = /storage/upload {{
      dav_methods PUT;
      create_full_put_path on;
      alias {folder}/files/$http_path;
    }}
    location /files/ {{ alias {folder}/files/; }}
  }}
}}
"""


def find() -> str | None:
    """The program: of the system, or unpacked here by `install`."""
    own = UNPACKED / "usr/sbin/nginx"
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or (
        str(own) if own.exists() else None
    )


def install() -> str | None:
    """Unpack Debian's package beside this file, if the system has no nginx; the reason why that
    cannot be, or None."""
    if find() is not None:
        return None
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return "needs nginx, or a Debian to get it from"
    UNPACKED.mkdir(exist_ok=True)
    for command in (["apt-get", "download", "nginx"], ["sh", "-c", "dpkg-deb -x nginx_*.deb ."]):
        got = subprocess.run(command, cwd=UNPACKED, capture_output=True, text=True, check=False)
        if got.returncode != 0:
            return f"{' '.join(command)} failed: {got.stderr.strip()[-300:]}"
    return None if find() is not None else "the package has no nginx in it"


def main(folder: str) -> None:
    program = find()
    if program is None:
        sys.exit("There is no nginx.")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = Path(folder) / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, port=port))
    (Path(folder) / "files").mkdir()
    if os.fork() == 0:
        tell_when_ready(port)
        os._exit(0)
    os.execv(program, ["nginx", "-p", folder, "-c", str(config)])


def tell_when_ready(port: int) -> None:
    """nginx does not say when it listens."""
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.01)
            continue
        sys.stdout.write(f"nginx is ready at http://127.0.0.1:{port}\n")
        sys.stdout.flush()
        return


if __name__ == "__main__":
    main(sys.argv[1])
