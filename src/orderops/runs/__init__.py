"""Runs that change an environment: lease, record, history."""
