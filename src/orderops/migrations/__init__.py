"""The database's changes: their files, the ledger of what was done, and the way there under live traffic."""
