"""The figures of the book: one style, and one file for each chapter, named after it."""
