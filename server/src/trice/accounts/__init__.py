"""Who may make and run apps on this server."""
