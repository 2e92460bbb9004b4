"""API Gateway: HTTP APIs in front of load balancers."""
