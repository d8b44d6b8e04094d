"""The schema of what tests of jobs run on."""

from __future__ import annotations

from typing import Annotated

from trice.schema import Indexed, Namespace, Schema, Table


class Note(Namespace):
    text: Annotated[str, Indexed]


class Db(Schema):
    notes: Table[Note]
