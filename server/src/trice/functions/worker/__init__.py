"""The process that functions run in."""
