"""Drift: how the account differs from the file of an environment, on whose behalf, and how the file takes it over."""
