"""The one exception for mistakes that a user can mend."""

__all__ = ["InputError"]


class InputError(ValueError):
    """A file, config, checkpoint or text that cannot be used.

    The message is one line for a person: what was given, what is wanted, how to fix it. Command
    lines print it without a traceback and exit with code 2.
    """
