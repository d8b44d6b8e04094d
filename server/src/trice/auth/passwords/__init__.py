"""Signing in with e-mail and password."""
