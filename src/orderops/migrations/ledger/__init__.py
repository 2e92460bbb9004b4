"""The ledger: what was applied to a database, and its status against the files."""
