"""What is wrong with the alarms of an environment, and where they go."""
