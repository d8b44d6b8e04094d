"""What becomes of each message, by family: one file each, its ops in `session/ops`."""
