"""Which live queries does a commit touch, and what is their answer now."""
