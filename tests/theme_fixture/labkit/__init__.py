"""A package in small."""
