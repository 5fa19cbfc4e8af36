"""Django's backend for PostgreSQL, whose connections are checked without asking the server each time."""
