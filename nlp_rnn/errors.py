"""The one exception for mistakes that a user can mend, and a check that raises it."""

__all__ = ["InputError", "require"]


class InputError(ValueError):
    """A file, config, checkpoint or text that cannot be used.

    The message is one line for a person: what was given, what is wanted, how to fix it. Command
    lines print it without a traceback and exit with code 2.
    """


def require(holds: bool, given: str, wanted: str) -> None:
    """Raise one clear line unless `holds`.

    Raises:
        InputError: naming what was given and what is wanted.
    """
    if not holds:
        raise InputError(f"{given} is out of range: give {wanted}")
