"""An environment as a configuration for OpenTofu or Terraform."""
