"""HTTP to calls and back; no decisions."""
