"""CloudWatch Logs as strict as AWS."""
