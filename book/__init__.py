"""Commands for working on the book; `make` calls them."""

# Kernels that are started from here inherit what it sets for their threads.
import labkit as labkit
