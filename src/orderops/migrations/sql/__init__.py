"""Migration files: naming, directives, parsing, validation, locks."""
