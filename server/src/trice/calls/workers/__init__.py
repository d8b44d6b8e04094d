"""The processes that functions run in, as the server sees them."""
