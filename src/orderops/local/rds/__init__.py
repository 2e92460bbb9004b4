"""RDS: database instances as PostgreSQL servers."""
