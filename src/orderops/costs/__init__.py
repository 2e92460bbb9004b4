"""What an environment costs a month, from a dated table of prices and without an account."""
