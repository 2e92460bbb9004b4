"""What a migration would do to the running system, told from its text alone, and the safe way to write it."""
