"""A mail server and a sign-in provider, as a process for the suites in Node.

It speaks JSON, a line each. On start it prints `{"smtp": url, "discovery": url}`. Then, on stdin:

    {"do": "mails", "to": address}          → [{"subject", "text"}], oldest first
    {"do": "person", "claims": {…}}         → null; who signs in at the provider from now on
    {"do": "id-token", "claims": {…}}       → a token; claims replace the person's, null removes
    {"do": "hits", "path": path}            → how many requests the provider had for it

End it by closing its stdin. Run it in `server/tests`: `python -m support.outside_world`.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import orjson

from support.identity_provider import IdentityProvider
from support.mail_server import MailServer, serve_mail
from trice.runtime import SystemRuntime


def mails(server: MailServer, address: str) -> list[dict[str, str]]:
    """What arrived for an address."""
    found = []
    for position, (_, recipients, _) in enumerate(server.arrived):
        if address in recipients:
            message = server.message(position)
            text = message.get_body(("plain",))
            assert text is not None
            found.append({"subject": str(message["subject"]), "text": text.get_content()})
    return found


def answer(mail: MailServer, provider: IdentityProvider, asked: dict[str, Any]) -> Any:
    match asked["do"]:
        case "mails":
            return mails(mail, asked["to"])
        case "person":
            provider.person = asked["claims"]
            return None
        case "id-token":
            return provider.id_token(**asked["claims"])
        case "hits":
            return provider.hits.get(asked["path"], 0)
        case unknown:
            raise ValueError(f"cannot do {unknown!r}")


async def run() -> None:
    provider = IdentityProvider(SystemRuntime().now_ms)
    await provider.open()
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)

    def say(value: Any) -> None:
        sys.stdout.buffer.write(orjson.dumps(value) + b"\n")
        sys.stdout.buffer.flush()

    async with serve_mail() as mail:
        say({"smtp": f"smtp://127.0.0.1:{mail.port}", "discovery": provider.endpoint})
        while line := await lines.readline():
            say(answer(mail, provider, orjson.loads(line)))
    await provider.close()


if __name__ == "__main__":
    asyncio.run(run())
