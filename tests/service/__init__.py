"""What the order processor promises, asked of it as a process."""
