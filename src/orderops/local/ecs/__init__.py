"""ECS: services as processes of this machine."""
