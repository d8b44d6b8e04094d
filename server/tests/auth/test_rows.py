"""Reading single rows (`trice.system_rows`): what comes back, and by which index."""

from __future__ import annotations

import hashlib

import pytest

from trice.auth.tokens import hash_token
from trice.database import Look
from trice.identity import ADMIN
from trice.protocol.ids import find_uuid_bytes
from trice.store.sqlite.rows import SqliteRows
from trice.system_rows import find_row, find_rows

ANN = "e1000000-0000-4000-8000-000000000001"
TOKEN = "c9b25c12-0a52-4f6e-9d3a-8bb2c6de5d0a"
CODE_HASH = hashlib.sha256(b"123456").hexdigest()
CODES = [f"e2000000-0000-4000-8000-00000000000{number}" for number in range(4)]


class Recorder:
    """Statements that note what they are asked."""

    def __init__(self, statements):
        self.statements = statements
        self.asked = []

    def rows(self, sql, bindings=(), *more):
        self.asked.append((sql, bindings))
        return self.statements.rows(sql, bindings, *more)


class Recorded(Look):
    """A look whose statements are recorded."""

    def __init__(self, look):
        super().__init__(look.statements)
        self.recorder = Recorder(look.statements)

    @property
    def stored(self):
        return SqliteRows(self.recorder.rows)


@pytest.mark.rule("A21", "A30", "A42")
@pytest.mark.parametrize(
    ("etype", "label", "value", "index"),
    [
        ("$users", "id", find_uuid_bytes(ANN), "sqlite_autoindex_$users_1"),
        ("$users", "email", "ann@example.com", "$users~email~unique"),
        (
            "$userRefreshTokens",
            "hashedToken",
            hash_token(TOKEN),
            "$userRefreshTokens~hashedToken~unique",
        ),
        ("$magicCodes", "email", "ann@example.com", "$magicCodes~email~value"),
    ],
)
async def test_each_question_is_one_statement_with_an_index(database, etype, label, value, index):
    def ask(look):
        recorded = Recorded(look)
        find_row(recorded, etype, label, value)
        ((sql, bindings),) = recorded.recorder.asked
        return look.statements.rows(f"EXPLAIN QUERY PLAN {sql}", bindings)

    plan = [str(step[3]) for step in await database.look(ask)]
    assert f"USING INDEX {index} " in plan[0]
    assert not any("SCAN" in step for step in plan)


@pytest.mark.rule("A1", "A47")
async def test_rows_hold_what_was_set_oldest_first(database, runtime):
    for code in CODES:
        runtime.advance(1)
        values = {"codeHash": CODE_HASH, "email": "ann@example.com"}
        await database.change(
            lambda change, code=code, values=values: change.write(
                ["update", "$magicCodes", code, values]
            )
        )
    rows = await database.look(
        lambda look: find_rows(look, "$magicCodes", "email", "ann@example.com", count=3)
    )
    assert [row.fields for row in rows] == [
        {"id": code, "codeHash": CODE_HASH, "email": "ann@example.com"} for code in CODES[:3]
    ]
    assert [row.created_ms - 1_700_000_000_000 for row in rows] == [1, 2, 3]
    assert await database.look(lambda look: find_row(look, "$users", "email", "x")) is None
    await database.change(lambda change: change.write(["update", "$users", ANN, {}]))
    row = await database.look(lambda look: find_row(look, "$users", "id", find_uuid_bytes(ANN)))
    assert row is not None and row.fields == {"id": ANN}


@pytest.mark.rule("A21")
async def test_what_has_values_but_no_id_does_not_exist(database):
    email = database.catalog.find_forward("$users", "email")
    step = ["add-triple", ANN, email.id, "ann@example.com"]
    await database.transact([step], identity=ADMIN)
    for label, value in (("id", find_uuid_bytes(ANN)), ("email", "ann@example.com")):
        assert (
            await database.look(lambda look, key=(label, value): find_row(look, "$users", *key))
            is None
        )
