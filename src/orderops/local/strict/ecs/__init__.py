"""ECS as strict as AWS."""
