"""Environment files: models, loader, validation."""
