"""Imports into a running server: uploaded in pieces, filled by a process of their own."""
