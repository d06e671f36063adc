import gzip
import struct
import zipfile

import pytest
import torch

from nlp_rnn.data.vectors import NAMES, load_vectors
from nlp_rnn.errors import InputError

GLOVE = "the 0.5 -1 2e-1\ncat 1 2 3\nnaïve 4 5 6\n. . . 7 8 9\n"
VECTORS = {"the": [0.5, -1, 0.2], "cat": [1, 2, 3], "naïve": [4, 5, 6], ". . .": [7, 8, 9]}


def write(folder, text, name="vectors.txt"):
    path = folder / name
    data = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("glove.txt", GLOVE),
        ("glove.txt.gz", GLOVE),
        ("word2vec.txt", "4 3\n" + GLOVE),
        ("fasttext.vec", "4 3\n" + GLOVE.replace("\n", " \n")),
        ("fasttext.vec.gz", "4 3\n" + GLOVE),
        ("windows.txt", GLOVE.replace("\n", "\r\n")),
        ("no-end.txt", GLOVE.removesuffix("\n")),
    ],
)
def test_every_kind_of_text(tmp_path, name, text):
    found = load_vectors(write(tmp_path, text, name), [*VECTORS])
    assert found.words == [*VECTORS]
    assert torch.equal(found.vectors, torch.tensor([*VECTORS.values()]))


def test_only_what_is_wanted_in_the_order_it_is_wanted(tmp_path):
    path = write(tmp_path, GLOVE)
    found = load_vectors(str(path), ["naïve", "zebra", "the", "the"])
    assert found.words == ["naïve", "the"]
    assert found.vectors.tolist() == [VECTORS["naïve"], torch.tensor(VECTORS["the"]).tolist()]
    assert found.vectors.dtype == torch.float32
    assert set(load_vectors(path, {"cat", "the"}).words) == {"cat", "the"}


def test_the_first_of_two_vectors_is_taken(tmp_path):
    path = write(tmp_path, "cat 1 2\ncat 3 4\ndog 5 6\n")
    assert load_vectors(path, ["cat", "dog"]).vectors.tolist() == [[1, 2], [5, 6]]


def test_reading_ends_when_all_is_found(tmp_path):
    path = write(tmp_path, "cat 1 2\ndog 3 4\nthis is broken\n")
    assert load_vectors(path, ["dog", "cat"]).vectors.tolist() == [[3, 4], [1, 2]]


def test_words_that_nobody_wants_may_have_any_encoding(tmp_path):
    path = write(tmp_path, b"\xe9\xe8 1 2\ncat 3 4\n")
    assert load_vectors(path, ["cat"]).vectors.tolist() == [[3, 4]]


def test_a_space_without_a_break_belongs_to_the_word(tmp_path):
    path = write(tmp_path, "ice\u00a0cream 1 2\ncat 3 4\n")
    assert load_vectors(path, ["ice\u00a0cream"]).vectors.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat 1 2 3\ndog 1 2\n", r"line 2: 2 numbers, but 3 are wanted"),
        ("cat 1 2\ndog 1 2 3\n", r"line 2: more than 2 numbers"),
        ("2 3\ncat 1 2 3 4\n", r"line 2: more than 3 numbers"),
        ("cat 1 2\nthe 1 x\n", r"line 2: .*'x'"),
        ("cat 1 2\nthe 1 nan\n", r"line 2: .* not finite"),
        ("cat 1 2\nthe 1 1e99\n", r"line 2: .* not finite"),
        ("cat 1 2\n\nthe 1 2\n", r"line 2: 0 numbers, but 2 are wanted"),
        ("A poem about a cat\n", r"line 1: .*'poem'"),
        ("word\tone\n", r"line 1: 0 numbers, but some are wanted"),
        ("", r"vectors.txt is empty"),
    ],
)
def test_a_damaged_file_is_named_with_its_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        load_vectors(write(tmp_path, text), ["the", "zebra"])


def test_binary_vectors_are_to_be_converted(tmp_path):
    rows = [word.encode() + b" " + struct.pack("<3f", 0.1, -2.3, 3.7) for word in ("the", "cat")]
    path = write(tmp_path, b"2 3\n" + b"\n".join(rows), "vectors.bin")
    with pytest.raises(InputError, match=r"vectors.bin, line 2 is no text.*save_word2vec_format"):
        load_vectors(path, ["the"])


def test_an_archive_is_to_be_unpacked(tmp_path):
    path = tmp_path / "glove.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("glove.txt", GLOVE * 100)
    with pytest.raises(InputError, match=r"line 1 is no text: unpack"):
        load_vectors(path, ["the"])


# The ids are named: gzip writes the time into its header, and pytest-xdist wants the same names
# from each of its processes.
@pytest.mark.parametrize(
    "data",
    [gzip.compress(GLOVE.encode() * 99)[:-20], b"not compressed"],
    ids=["cut short", "not compressed"],
)
def test_a_damaged_gz_file(tmp_path, data):
    path = tmp_path / "vectors.gz"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"vectors.gz is damaged .*download it again"):
        load_vectors(path, ["zebra"])


@pytest.mark.parametrize("words", [["zebra"], []])
def test_vectors_for_none_of_the_words_are_a_mistake(tmp_path, words):
    with pytest.raises(InputError, match=rf"for none of {len(words)} words"):
        load_vectors(write(tmp_path, GLOVE), words)


@pytest.mark.parametrize("source", ["glove.6B.51d", "missing.txt", "."])
def test_a_source_that_is_none(source):
    with pytest.raises(InputError, match=r"no vectors at .*glove.6B.100d.*charngram.100d"):
        load_vectors(source, ["the"])
    assert source not in NAMES


@pytest.mark.parametrize("content", [["cat"], ([], {}), {"cat": 1}])
def test_another_pt_file(tmp_path, content):
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(InputError, match=r"other.pt is no readable cache of torchtext"):
        load_vectors(tmp_path / "other.pt", ["cat"])
    write(tmp_path, "cat 1 2\n", "text.pt")
    with pytest.raises(InputError, match=r"text.pt is no readable cache"):
        load_vectors(tmp_path / "text.pt", ["cat"])
