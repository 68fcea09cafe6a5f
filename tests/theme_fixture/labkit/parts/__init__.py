"""A folder of it."""
