"""Channels between the processes that serve one app: who is where, and what they tell each other.

    put, remove ──> entries of a channel ──> every subscriber, the one who put it included
    publish ──────────────────────────────> every subscriber

An entry belongs to whoever put it, and stays until it is removed; a message is told once and not
kept. Today there is one process, which calls its subscribers at once. What is put and published
can be written as JSON, so that it could travel.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol

Channel = tuple[str, ...]
"""The name of a channel: its kind, then what it is about, such as `("room", app id, room id)`."""


class Subscriber(Protocol):
    """Hears of everything in one channel, in order."""

    def on_entry(self, key: str, entry: Any | None) -> None:
        """An entry was put, in place of an earlier one if there was one; None: it was removed."""
        ...

    def on_message(self, message: Any) -> None:
        """A message was published."""
        ...


class Bus:
    """Holds the entries of each channel, and its subscribers. Does not know what they mean."""

    def __init__(self) -> None:
        self._entries: dict[Channel, dict[str, Any]] = {}
        self._subscribers: dict[Channel, list[Subscriber]] = {}

    def entries(self, channel: Channel) -> Mapping[str, Any]:
        """All entries of a channel, by key."""
        return MappingProxyType(self._entries.get(channel, {}))

    def subscribe(self, channel: Channel, subscriber: Subscriber) -> None:
        """Tell `subscriber` what happens from now on; `entries` has what is there already."""
        self._subscribers.setdefault(channel, []).append(subscriber)

    def unsubscribe(self, channel: Channel, subscriber: Subscriber) -> None:
        """Stop telling it."""
        subscribers = self._subscribers[channel]
        subscribers.remove(subscriber)
        if not subscribers:
            del self._subscribers[channel]

    def put(self, channel: Channel, key: str, entry: Any) -> None:
        """Set an entry. It is not copied, and must not change."""
        self._entries.setdefault(channel, {})[key] = entry
        for subscriber in list(self._subscribers.get(channel, ())):
            subscriber.on_entry(key, entry)

    def remove(self, channel: Channel, key: str) -> None:
        """Remove an entry; nothing happens if it is not there."""
        entries = self._entries.get(channel, {})
        if entries.pop(key, None) is None:
            return
        if not entries:
            del self._entries[channel]
        for subscriber in list(self._subscribers.get(channel, ())):
            subscriber.on_entry(key, None)

    def publish(self, channel: Channel, message: Any) -> None:
        """Tell every subscriber a message."""
        for subscriber in list(self._subscribers.get(channel, ())):
            subscriber.on_message(message)
