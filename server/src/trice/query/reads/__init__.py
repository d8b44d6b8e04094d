"""What the answer to a query depends on; `live` keeps answers current by it."""
