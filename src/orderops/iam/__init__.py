"""Least-privilege policies for each persona, derived from recorded AWS calls."""
