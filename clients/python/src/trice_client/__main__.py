"""`python -m trice_client`: one question to an app, and its answer as JSON.

    python -m trice_client query '{"todos": {}}'
    python -m trice_client call messages.send '{"text": "Hi"}'

TRICE_URL (http://localhost:8888), TRICE_APP, and TRICE_ADMIN_TOKEN or TRICE_TOKEN say whom, and as
whom. Exit codes: 0 answered · 1 refused · 2 wrong usage
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

from trice_client import Client, TriceError


def main(words: Sequence[str]) -> int:
    """Returns the exit code."""
    asked = list(words)
    if len(asked) not in (2, 3) or asked[0] not in ("query", "call"):
        sys.stderr.write(f"{__doc__}")
        return 2
    try:
        given = json.loads(asked[-1]) if asked[0] == "query" or len(asked) == 3 else {}
    except json.JSONDecodeError as error:
        sys.stderr.write(f"The last word is no JSON: {error}\n")
        return 2
    try:
        with _client() as db:
            answer = db.query(given) if asked[0] == "query" else db.call(asked[1], given)
    except TriceError as error:
        sys.stderr.write(f"{error!r}\n")
        return 1
    sys.stdout.write(json.dumps(answer, indent=2, ensure_ascii=False) + "\n")
    return 0


def _client() -> Client:
    return Client(
        os.environ.get("TRICE_APP", ""),
        server=os.environ.get("TRICE_URL", "http://localhost:8888"),
        admin_token=os.environ.get("TRICE_ADMIN_TOKEN"),
        token=os.environ.get("TRICE_TOKEN"),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
