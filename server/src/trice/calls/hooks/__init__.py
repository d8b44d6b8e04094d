"""Work of functions that is done later: durable, on leases, at its time."""
