"""The order processor: an application of its own, independent of the command line."""
