"""Jobs run by a task inside the VPC, and the tunnel."""
