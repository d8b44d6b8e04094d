"""A checked query to SQL: SQL of queries is composed only here."""
