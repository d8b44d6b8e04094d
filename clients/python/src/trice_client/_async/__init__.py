"""The HTTP half of the client; `_sync` is made of it (`make gen`)."""
