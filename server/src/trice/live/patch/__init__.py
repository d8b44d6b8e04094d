"""Answers kept in memory, changed by what commits changed."""
