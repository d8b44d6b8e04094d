"""Backups of one app that its developer makes, lists and fetches over HTTP."""
