"""RDS as strict as AWS."""
