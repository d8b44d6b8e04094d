"""Durable streams of text: one writer, many readers."""
