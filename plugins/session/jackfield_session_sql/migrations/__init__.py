"""The versions of the tables, and how to get from each to the next."""
