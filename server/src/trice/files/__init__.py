"""Files: bytes that rows of `$files` name."""
