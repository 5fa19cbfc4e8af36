"""The database: the embedded server, and what PostgreSQL does for us beyond the ORM."""
