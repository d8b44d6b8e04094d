"""Which live queries a commit touches, and what their answers are now."""
