"""The keys of ownership tags. They are stored in accounts, so a test fails when the program changes one."""

from __future__ import annotations

ENVIRONMENT = "orderops:environment"
ADDRESS = "orderops:address"
ROLE = "orderops:role"
TERM = "orderops:term"
