"""REST APIs of API Gateway, answered in place of moto, which refuses almost nothing and enforces nothing."""
