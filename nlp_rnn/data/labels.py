"""What a text is called, by name and by number."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from nlp_rnn.errors import InputError

__all__ = ["Labels"]

_WHOLE = re.compile(r"-?\d+\.0+")


class Labels:
    """The labels of a classifier in their order.

    Args:
        names: C names.
        multi_label: a text has any number of them, ``|`` between; else exactly one.
    """

    def __init__(self, names: Sequence[str], *, multi_label: bool) -> None:
        self.names = list(names)
        self.multi_label = multi_label
        self._numbers = {name: number for number, name in enumerate(self.names)}

    def targets(
        self, cells: Sequence[str], label_map: Mapping[str, str | None], *, where: str, option: str
    ) -> list[list[int] | int | None]:
        """Numbers of the labels of each text; None if the text is to be left out.

        Args:
            cells: labels as they stand in the data; 1.0 is 1.
            label_map: new names of some, which a config may give as numbers; None leaves texts out
                (a label, if they have several).
            where: for errors, which split.
            option: for errors, how the label map is given.

        Raises:
            InputError: labels that are not among these, with how often they occur.
        """
        names = {str(old): None if new is None else str(new) for old, new in label_map.items()}
        unknown: Counter[str] = Counter()
        found: list[list[int] | int | None] = []
        for cell in cells:
            parts = cell.split("|") if self.multi_label else [cell]
            named = [self._known(part, names) for part in parts if part or not self.multi_label]
            mapped = [names.get(name, name) for name in named]
            kept = [name for name in mapped if name is not None]
            unknown.update(name for name in kept if name not in self._numbers)
            numbers = sorted({self._numbers[name] for name in kept if name in self._numbers})
            if self.multi_label:
                found.append(numbers)
            else:
                found.append(numbers[0] if numbers else None)
        if unknown:
            seen = ", ".join(f"{name!r} ({count})" for name, count in unknown.most_common(8))
            wanted = ", ".join(f'"{name}"' for name in self.names)
            if not self.multi_label and any("|" in name for name in unknown):
                option += "; if texts have several labels, give --network.multi_label true"
            raise InputError(
                f"{where}labels {seen} are none of --network.labels '[{wanted}]': name them there, "
                f"or rename or drop (null) them with {option}"
            )
        return found

    def _known(self, cell: str, names: Mapping[str, str | None]) -> str:
        """A cell as it is called here: numbers of a column with gaps come as 1.0."""
        if cell in names or cell in self._numbers or not _WHOLE.fullmatch(cell):
            return cell
        return cell.split(".")[0]

    def tensor(self, targets: Sequence[list[int]] | Sequence[int]) -> Tensor:
        """Numbers (N,), or which labels fit (N, C) as 0 and 1."""
        if not self.multi_label:
            return torch.tensor(targets)
        fits = torch.zeros(len(targets), len(self.names))
        for row, numbers in zip(fits, targets):
            row[numbers] = 1
        return fits

    def __repr__(self) -> str:
        return f"Labels({self.names}, multi_label={self.multi_label})"
