"""Signing in with providers, by redirects or with an id_token."""
