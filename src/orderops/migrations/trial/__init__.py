"""Migrations applied and undone in a scratch database."""
