"""The classes of a `schema.py` in the place of names: what `db.typed(Db)` is made of."""
