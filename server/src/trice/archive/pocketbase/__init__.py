"""Data folders of PocketBase that become apps."""
