"""Everything that is shown to the operator; the only package that prints."""
