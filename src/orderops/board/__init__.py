"""The board: one page about an environment, for customers in words and for engineers in detail, with its history."""
