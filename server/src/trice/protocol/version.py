"""The version of the protocol. No I/O."""

from __future__ import annotations

from typing import Final

VERSION: Final = 1
"""Version of what clients may ask for beyond Instant's protocol, named in `trice` of `init`
(P70-P73)."""

WIRE_HASH: Final = "d951b4fb49ddb3cc"
"""Hash of all schemas in `spec/protocol.schema.json`, without descriptions: pins the wire.

A test fails when the wire has changed and this has not. Then decide what the change means for
clients that are in use, and write it down:

- They go on working (a new op, an optional key up, a key down that they may ignore): say so in
  CHANGELOG.md.
- They would misread it (a key was removed or renamed, or means something else): raise VERSION, and
  speak the old form to clients that announce a lower one.

In both cases run `make gen` and put the hash that the test names here.
"""
