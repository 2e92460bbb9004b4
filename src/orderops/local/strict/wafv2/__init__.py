"""AWS WAF as strict as AWS."""
