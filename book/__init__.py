"""Commands for working on the book; `make` calls them."""
