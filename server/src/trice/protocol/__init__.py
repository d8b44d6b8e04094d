"""What travels between clients and the server: ids, ops, steps, errors. Depends on nobody."""
