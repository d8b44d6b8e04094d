"""Tables and transactions on disk."""
