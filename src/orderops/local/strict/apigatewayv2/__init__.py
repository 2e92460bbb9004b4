"""HTTP APIs of API Gateway, answered in place of moto, which cannot change a stage and refuses almost nothing."""
