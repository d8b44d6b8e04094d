"""What actions of functions reach through the server: mail, files, streams."""
