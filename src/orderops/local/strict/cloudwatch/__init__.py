"""CloudWatch as strict as AWS."""
