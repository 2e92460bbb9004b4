"""Point-in-time restore into new instances: compare, salvage rows, promote, switch back, and drills."""
