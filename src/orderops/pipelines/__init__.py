"""Pipelines that run orderops: what their file says, and whether it keeps what an environment needs."""
