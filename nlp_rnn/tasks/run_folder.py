"""A new folder for every run."""

from contextlib import suppress
from pathlib import Path

from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

__all__ = ["RunFolder"]


class RunFolder:
    """The folder ``NAME/version_K`` of a run, made at once: another run may be starting, too.

    Args:
        name: of the task.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._made: list[Path] = []

    def make(self, root: str) -> TensorBoardLogger:
        """Make the folder, by the first process alone and unless it is elsewhere (``s3://``).

        Returns:
            A logger that writes there.
        """
        board = TensorBoardLogger(root, name=self.name)
        if getattr(rank_zero_only, "rank", 0) != 0 or "://" in str(root):
            return board
        above = Path(board.log_dir).parent
        made = [each for each in (above, *above.parents) if not each.exists()]
        above.mkdir(parents=True, exist_ok=True)
        while (folder := Path(board.log_dir)) not in self._made:
            try:
                folder.mkdir()
                self._made = [folder, *made]
            except FileExistsError:
                board = TensorBoardLogger(root, name=self.name, version=int(board.version) + 1)
        return board

    def leave(self) -> None:
        """Remove what was made, if the run came to nothing and left it empty."""
        for folder in self._made:
            with suppress(OSError):  # there is something in it
                folder.rmdir()
