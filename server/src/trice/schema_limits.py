"""Every bound of reading schema and rules files. `limits` has all others.

The files are those of the person who runs the command. The bounds keep a mistake, or a project of
somebody else that is only looked at, from taking the machine. Beyond one the command ends with an
error that names the file.
"""

from __future__ import annotations

from typing import Final

FILE_BYTES_MAX: Final = 1024**2
"""One file of a schema or of rules, before it is parsed; larger ones are refused. YAML takes up to
a second for it."""

YAML_NODES_MAX: Final = 100_000
"""Values of a YAML document with what its aliases stand for, counted before anything is copied;
documents of more are refused."""

YAML_DEPTH_MAX: Final = 100
"""Levels of lists and objects in a YAML document; deeper ones are refused."""

EVALUATION_MS: Final = 20_000
"""A `schema.py` or `instant.schema.ts` runs in a process of its own; after this time the process
is killed. Node and a transpiler take 2 s on a slow machine."""

EVALUATION_GRACE_MS: Final = 1_000
"""How much sooner a `schema.py` is asked at which line it is, so that the error can name it."""

EVALUATED_BYTES_MAX: Final = 16 * 1024**2
"""What such a process may answer; a process that writes more is killed."""

PRINTED_BYTES_MAX: Final = 64 * 1024
"""What it may write to standard error and be shown; the rest is read and dropped."""
