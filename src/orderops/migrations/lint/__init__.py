"""Lint of migration files: what they would do to a running system, and safe alternatives."""
