"""What stops a build."""


class BookError(Exception):
    """The book cannot be built; the message is one paragraph that says what to do."""
