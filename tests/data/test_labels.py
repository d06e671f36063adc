import pytest
import torch

from nlp_rnn.data.labels import Labels
from nlp_rnn.errors import InputError

ONE = Labels(["negative", "positive"], multi_label=False)
MANY = Labels(["joy", "anger", "fear"], multi_label=True)
WHERE = {"where": "train, ", "option": "--data.label_map"}


def test_names_become_numbers():
    assert ONE.targets(["positive", "negative"], {}, **WHERE) == [1, 0]
    assert ONE.tensor([1, 0]).tolist() == [1, 0]


def test_numbers_however_written_are_mapped_or_dropped():
    mapping = {"0": "negative", "1": "negative", "2": None, "4": "positive"}
    cells = ["0", "1.0", "2", "4.00"]
    assert ONE.targets(cells, mapping, **WHERE) == [0, 0, None, 1]
    assert Labels(["0", "1"], multi_label=False).targets(["1.0", "0"], {}, **WHERE) == [1, 0]


def test_several_labels_or_none():
    found = MANY.targets(["fear|joy", "", "anger"], {}, **WHERE)
    assert found == [[0, 2], [], [1]]
    assert MANY.tensor(found).tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert MANY.tensor(found).dtype == torch.float32


def test_a_dropped_label_of_several_leaves_the_others():
    assert MANY.targets(["fear|joy"], {"fear": None}, **WHERE) == [[0]]


def test_a_config_may_write_labels_as_numbers():
    labels = Labels(["good", "2"], multi_label=False)
    assert labels.targets(["0", "1", "2", "2.0"], {0: "good", 1: None}, **WHERE) == [0, None, 1, 1]
    exact = Labels(["1.0", "2.0"], multi_label=False)
    assert exact.targets(["1.0", "2.0"], {}, **WHERE) == [0, 1]


@pytest.mark.parametrize("labels", [ONE, MANY])
def test_unknown_labels_are_counted_in_one_line(labels):
    with pytest.raises(InputError) as error:
        labels.targets(["weird", "weird", "-1"], {}, **WHERE)
    message = str(error.value)
    assert message.startswith("train, labels 'weird' (2), '-1' (1) are none of --network.labels")
    assert "--data.label_map" in message
    assert "\n" not in message
