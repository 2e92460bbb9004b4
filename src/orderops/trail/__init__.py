"""CloudTrail: which calls changed a resource last, and on whose behalf."""
