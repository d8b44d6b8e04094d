"""Which protocol this is. No I/O."""

from __future__ import annotations

from typing import Final

VERSION: Final = 1
"""Of what clients may ask for beyond Instant's protocol: `trice` in `init` names it (P70-P73)."""

WIRE_HASH: Final = "15583bf84eb9c5fa"
"""Of all schemas in `spec/protocol.schema.json`, without descriptions: pins what is on the wire.

A test fails when the wire has changed and this has not. Then decide what the change is to clients
that are out there, and write it down:

- They go on working (a new op, an optional key up, a key down that they may pass over): say so in
  CHANGELOG.md.
- They would misread it (a key that went, was renamed, or means something else): raise VERSION, and
  speak the old form to those who announce a lower one.

In both cases run `make gen` and put the hash that the test names here.
"""
