"""Durations, counts and lists in words."""
