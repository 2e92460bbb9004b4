"""Elastic Load Balancing as strict as AWS."""
