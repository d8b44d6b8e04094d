# Made of `_async/__init__.py` by `make gen`: change that file.
"""The HTTP half of the client; `_sync` is made of it (`make gen`)."""
