"""Handlers of messages: one file for each family of ops. `session/ops` lists the ops."""
