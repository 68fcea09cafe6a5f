"""What a command on chapters says instead of a traceback."""


class ChapterError(Exception):
    """Something the person at the keyboard can put right; the message says how."""
