import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from nlp_rnn.checkpoint import FORMAT, check_plain, network_weights, open_checkpoint
from nlp_rnn.errors import InputError


def refusal(path, task="translate"):
    """The one line that says why a file cannot be used."""
    with pytest.raises(InputError) as error:
        open_checkpoint(path, task=task)
    message = str(error.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_a_checkpoint_gives_back_its_network(checkpoint, network):
    opened = open_checkpoint(checkpoint, task="translate")
    assert opened["hyper_parameters"] == network.arguments
    twin = type(network)(**opened["hyper_parameters"])
    twin.load_state_dict(network_weights(opened))
    for name, value in network.state_dict().items():
        assert torch.equal(value, twin.state_dict()[name])


def test_only_the_weights_of_the_network_are_taken():
    weights = {"network.a": torch.ones(1), "metric.network.b": torch.ones(1)}
    assert [*network_weights({"state_dict": weights})] == ["a"]


def test_a_missing_file_or_a_folder_is_named(tmp_path):
    assert "no checkpoint at" in refusal(tmp_path / "nowhere.ckpt")
    assert "no checkpoint at" in refusal(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(checkpoint, tmp_path, share):
    content = checkpoint.read_bytes()
    short = tmp_path / "short.ckpt"
    short.write_bytes(content[: int(share * len(content))])
    assert "not a readable checkpoint" in refusal(short)


def test_a_flipped_bit_is_found(checkpoint, tmp_path):
    content = bytearray(checkpoint.read_bytes())
    with zipfile.ZipFile(checkpoint) as archive:
        weights = max(archive.infolist(), key=lambda entry: entry.file_size)
    content[weights.header_offset + weights.file_size // 2] ^= 4
    flipped = tmp_path / "flipped.ckpt"
    flipped.write_bytes(content)
    torch.load(flipped, weights_only=True)  # does not notice
    assert weights.filename in refusal(flipped)


def test_another_zip_and_another_torch_file_are_refused(tmp_path):
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("letter.txt", "hello")
    assert "not a readable checkpoint" in refusal(other)
    for content in ({"state_dict": {}}, [1, 2], {"nlp_rnn": {}}):
        torch.save(content, other)
        assert "not written by nlp_rnn" in refusal(other)


class Payload:
    def __reduce__(self):
        return (print, ("code ran",))


def test_code_in_a_file_does_not_run(tmp_path, capsys):
    path = tmp_path / "evil.ckpt"
    torch.save({"nlp_rnn": Payload()}, path)
    assert "not a readable checkpoint" in refusal(path)
    assert capsys.readouterr().out == ""


def test_another_task_and_a_newer_format_are_named(tmp_path, network, save_checkpoint):
    path = save_checkpoint(tmp_path / "a.ckpt", network)
    assert "task 'translate', but 'classify' is wanted" in refusal(path, task="classify")
    path = save_checkpoint(tmp_path / "b.ckpt", network, version=FORMAT + 1)
    assert f"has format {FORMAT + 1}, this version reads up to {FORMAT}" in refusal(path)


def test_what_it_could_not_be_read_with_again_is_refused():
    check_plain({"a": None, "b": [0.1, "x"], "c": {"d": True}, "e": -3})
    for value in (Path("data"), np.float64(0.3), np.int64(3), [*np.unique(["good", "bad"])]):
        with pytest.raises(InputError, match=r"^dropout is .* checkpoints do not hold: give plain"):
            check_plain({"vocab_size": 9, "dropout": value})


def test_weights_that_are_no_numbers_are_refused(make_network, save_checkpoint, tmp_path):
    network = make_network()
    with torch.no_grad():
        network.decoder.projection.bias[3] = float("nan")
    path = save_checkpoint(tmp_path / "nan.ckpt", network)
    assert "network.decoder.projection.bias has values that are no numbers" in refusal(path)
