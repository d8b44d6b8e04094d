"""What travels between clients and the server: ids, ops, steps, errors. Imports nothing of ours."""
