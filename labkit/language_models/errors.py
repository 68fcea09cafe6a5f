"""What goes wrong with language models."""


class LanguageModelError(Exception):
    """A language model cannot be reached or used. The message says what to do."""
