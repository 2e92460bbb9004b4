"""The change seen on a copy first: each statement measured under the queries that it would hold up."""
