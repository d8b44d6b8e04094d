"""Apps, the tenants: the platform's table of apps, and each app's database, opened when needed."""
