"""Signing in with passkeys (WebAuthn)."""
