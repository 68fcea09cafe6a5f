"""What stops a build."""


class BookError(Exception):
    """The book cannot be built; the message is one paragraph that says what to do."""


class PageError(BookError):
    """A BookError that begins with its place: page, line, section."""
