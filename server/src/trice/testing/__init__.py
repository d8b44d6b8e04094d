"""Tests of functions: a plugin of pytest, which gives each test an app of its own.

from trice.testing import App

async def test_send(app: App) -> None:
    alice = await app.user("alice@example.com")
    async with alice.watch(messages.recent) as live:
        await alice.run(messages.send, text="hi")
        assert [each.text for each in await live.next()] == ["hi"]

docs/functions-testing.md tells the rest.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trice.testing.app import App
    from trice.testing.caller import Caller, Live
    from trice.testing.requests import HttpAnswer

__all__ = ["App", "Caller", "HttpAnswer", "Live"]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Load the engine with the first name: pytest imports this in every project."""
        if name not in __all__:
            raise AttributeError(f"trice.testing has no {name}")
        from trice.testing import app, caller, requests

        places = {"App": app, "HttpAnswer": requests}
        return getattr(places.get(name, caller), name)
