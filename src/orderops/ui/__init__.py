"""Terminal output: the only package that prints."""
