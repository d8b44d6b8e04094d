"""What a `schema.py` is written with: namespaces as classes, attributes as type hints.

class Todo(Namespace):
    title: Annotated[str, Indexed]
    done: bool = False
    owner: One[Users] | None = link(back="todos")

class Db(Schema):
    todos: Table[Todo]

docs/schema-files.md has the table of types. Importing this loads nothing else of trice.
"""

from trice.schema.declare import (
    Fields,
    Files,
    Id,
    Indexed,
    Json,
    Label,
    Many,
    Namespace,
    One,
    Room,
    Schema,
    Streams,
    Unique,
    Users,
    Was,
    link,
    new_id,
    now,
)
from trice.schema.tables import Table
from trice.schema.views import Page, Paged, Sub, View

__all__ = [
    "Fields",
    "Files",
    "Id",
    "Indexed",
    "Json",
    "Label",
    "Many",
    "Namespace",
    "One",
    "Page",
    "Paged",
    "Room",
    "Schema",
    "Streams",
    "Sub",
    "Table",
    "Unique",
    "Users",
    "View",
    "Was",
    "link",
    "new_id",
    "now",
]
