"""Execution: migrations applied under live traffic."""
