"""Health: one verdict about a running environment, with one cause and one next command."""
