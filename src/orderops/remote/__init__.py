"""Jobs: commands that a task inside the VPC runs, and tunnels to databases."""
