"""Signing in with other providers, by redirects or with an id_token."""
