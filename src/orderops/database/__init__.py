"""Connections, TLS, client programs, the catalogue reader."""
