"""The bytes of files: kept by content on this machine or in a bucket."""
