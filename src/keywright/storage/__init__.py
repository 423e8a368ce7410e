"""PostgreSQL: the only place with SQL. Readers have a connection, writers a transaction."""
