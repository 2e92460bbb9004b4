"""CloudTrail: the record of the calls that change something, and what LookupEvents answers from it."""
