"""Instant backup archives: read into a new app, written from an app, compared with one."""
