import json
import random
from pathlib import Path

import pytest

ONES = {"one": "eins", "two": "zwei", "three": "drei", "four": "vier", "five": "fünf"}
THINGS = {"cats": "Katzen", "dogs": "Hunde", "birds": "Vögel"}


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three small splits: "two cats, five dogs" -> "zwei Katzen, fünf Hunde"."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = random.Random(0)
    for split, size in (("train", 300), ("validation", 21), ("test", 17)):
        with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as file:
            for _ in range(size):
                parts = [
                    (rng.choice(list(ONES)), rng.choice(list(THINGS)))
                    for _ in range(rng.randint(1, 3))
                ]
                row = {
                    "en": ", ".join(f"{one} {thing}" for one, thing in parts),
                    "de": ", ".join(f"{ONES[one]} {THINGS[thing]}" for one, thing in parts),
                }
                file.write(json.dumps(row) + "\n")
    return folder
