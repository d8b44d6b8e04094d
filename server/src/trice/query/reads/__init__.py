"""What the answer to a query depends on, for whoever keeps it current."""
