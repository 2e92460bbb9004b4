"""EC2 as strict as AWS."""
