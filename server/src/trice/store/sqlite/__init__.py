"""One app's data in one SQLite file."""
