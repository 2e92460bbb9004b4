"""Known AWS failures: what each means and what to type."""
