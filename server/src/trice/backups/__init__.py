"""Backups of apps and servers: made while a server runs, kept, checked, restored."""
