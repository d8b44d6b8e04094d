"""A server that speaks S3, as a process on loopback: moto. It keeps objects in memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import NamedTuple

import httpx

from support.patience import WAIT_S
from trice.files.files_url import S3Place, parse_files_url

CREDENTIALS: Mapping[str, str] = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
}
"""Those of Amazon's documentation."""

_SCRIPT = Path(__file__).with_name("s3_process.py")
_NUMBERS = count()


class S3Server(NamedTuple):
    endpoint: str

    def make_bucket(self) -> str:
        """Make a bucket; return it as a files URL."""
        name = f"bucket-{next(_NUMBERS)}"
        httpx.put(f"{self.endpoint}/{name}", timeout=WAIT_S).raise_for_status()
        return f"s3://{name}/some/prefix?endpoint={self.endpoint}&region=eu-central-1"

    def check_signatures(self) -> None:
        """From now on refuse requests of all keys: moto's IAM has no user."""
        url = f"{self.endpoint}/moto-api/reset-auth"
        httpx.post(url, content=b"0", timeout=WAIT_S).raise_for_status()


def place_of(url: str) -> S3Place:
    place = parse_files_url(url)
    assert place is not None
    return place


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A running server, ended at the end."""
    process = subprocess.Popen(
        [sys.executable, _SCRIPT],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    try:
        assert process.stdout is not None
        yield S3Server(f"http://127.0.0.1:{int(process.stdout.readline())}")
    finally:
        process.kill()
        process.communicate()
