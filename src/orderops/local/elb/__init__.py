"""Elastic Load Balancing: listening ports that route to tasks."""
