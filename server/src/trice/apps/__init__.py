"""Tenants: the platform's own table of apps, and each app's database, opened when needed."""
