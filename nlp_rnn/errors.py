"""What a user is told: a mistake that can be mended, a check that raises it, a text cut short."""

from collections.abc import Sequence

__all__ = ["InputError", "TruncationWarning", "check_list", "reason_of", "require"]


class InputError(ValueError):
    """A file, config, checkpoint or text that cannot be used.

    The message is one line for a person: what was given, what is wanted, how to fix it. Command
    lines print it without a traceback and exit with code 2.
    """


class TruncationWarning(UserWarning):
    """A text is longer than what can be read, and was cut there.

    Args:
        index: its place in the list that was given, from 0.
        tokens: its length.
        limit: how much of it is read.

    Attributes:
        index, tokens, limit: as given.
        reason: the message without its subject, for callers that say "line 3" or "row 3".
    """

    def __init__(self, index: int, tokens: int, limit: int) -> None:
        self.index, self.tokens, self.limit = index, tokens, limit
        self.reason = f"has {tokens} tokens: only the first {limit} are read"
        super().__init__(f"text {index + 1} {self.reason}")


def require(holds: bool, given: str, wanted: str) -> None:
    """Raise one clear line unless `holds`.

    Raises:
        InputError: naming what was given and what is wanted.
    """
    if not holds:
        raise InputError(f"{given} is out of range: give {wanted}")


def check_list(name: str, texts: Sequence[str]) -> None:
    """Raise if one text was given for a list: Python would read it as a list of its letters.

    Raises:
        InputError: naming it.
    """
    if isinstance(texts, str):
        raise InputError(f"{name} is the text {texts!r}: give a list of texts, [{texts!r}]")


def reason_of(error: Exception) -> str:
    """The first line of an error's message; that of its cause, if it has one.

    `datasets` wraps what went wrong in an error that does not say.
    """
    cause = error.__cause__ or error
    return str(cause).strip().split("\n")[0].rstrip(".") or type(cause).__name__
