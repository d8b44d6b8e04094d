"""A checked query to SQL: the only place where SQL of queries is composed."""
