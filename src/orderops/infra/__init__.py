"""An environment as resources: its stack, and how it is planned, applied and destroyed."""
