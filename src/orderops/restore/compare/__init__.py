"""Comparison of two databases: rows, schema, sequences."""
