"""The data-loss check: which rows an undo would drop."""
