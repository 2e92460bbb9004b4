"""The order processor: an application of its own, which knows nothing of the command line beside it."""
