"""Which image to release, how it is built, where it is pushed."""
