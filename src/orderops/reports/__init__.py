"""The weekly report: what needs no alarm, and should be looked at."""
