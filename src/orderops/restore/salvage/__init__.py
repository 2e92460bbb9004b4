"""Salvage: a script that copies rows from one database to the other."""
