"""One connected client: what it asked for, what it was told, and the socket between."""
