"""One connected client: its socket, what it asked for, and what it was told."""
