"""p(T): one task distribution a file."""
