import pytest

from nlp_rnn.data.parallel import parallel_files, parallel_rows
from nlp_rnn.errors import InputError


def write(folder, **files):
    """write(folder, train_en=b"...") makes folder/train.en."""
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_bytes(content)


def rows(folder):
    return list(parallel_rows({"source": folder / "train.en", "target": folder / "train.de"}))


def test_a_folder_has_its_splits_under_common_names(tmp_path):
    write(tmp_path, train_en=b"", train_de=b"", dev_en=b"", dev_de=b"", test_en=b"", test_de=b"")
    write(tmp_path, README_md=b"")
    found = parallel_files(tmp_path, ["de", "en"])
    assert sorted(found) == ["test", "train", "validation"]
    assert found["validation"] == [tmp_path / "dev.de", tmp_path / "dev.en"]


def test_a_prefix_is_train(tmp_path):
    write(tmp_path, news_en=b"", news_de=b"", other_en=b"")
    found = parallel_files(tmp_path / "news", ["en", "de"])
    assert found == {"train": [tmp_path / "news.en", tmp_path / "news.de"]}


def test_nothing_where_no_file_ends_so(tmp_path):
    write(tmp_path, train_jsonl=b"")
    assert parallel_files(tmp_path, ["en", "de"]) == {}
    assert parallel_files(tmp_path / "train", ["en", "de"]) == {}
    assert parallel_files(tmp_path / "absent", ["en", "de"]) == {}


def test_a_missing_counterpart_is_named(tmp_path):
    write(tmp_path, train_en=b"")
    for path in (tmp_path, tmp_path / "train"):
        with pytest.raises(InputError, match=r"train\.de is missing; .* here are train\.en"):
            parallel_files(path, ["en", "de"])


def test_two_files_of_one_split(tmp_path):
    write(tmp_path, dev_en=b"", dev_de=b"", val_en=b"", val_de=b"")
    with pytest.raises(InputError, match=r"dev\.en .*val\.en .* validation"):
        parallel_files(tmp_path, ["en", "de"])


def test_only_line_feeds_end_lines(tmp_path):
    write(tmp_path, train_en="\ufeffa\r\nb\rc\nd\u2028e\x0b\x85\n\nf".encode(), train_de=b"1\n" * 5)
    assert [row["source"] for row in rows(tmp_path)] == ["a", "b\rc", "d\u2028e\x0b\x85", "", "f"]


@pytest.mark.parametrize(("en", "de"), [(b"a\nb\nc\n", b"a\n"), (b"a\n", b"a\nb\nc")])
def test_unequal_files_are_both_named_and_counted(tmp_path, en, de):
    write(tmp_path, train_en=en, train_de=de)
    counts = [f"train.{n} has {len(c.split())} lines" for n, c in (("en", en), ("de", de))]
    with pytest.raises(InputError, match=f"{counts[0]}.*{counts[1]}"):
        rows(tmp_path)


def test_no_utf8_is_found_by_file_and_line(tmp_path):
    write(tmp_path, train_en=b"a\nb\n", train_de=b"a\n\xff\n")
    with pytest.raises(InputError, match=r"train\.de, line 2"):
        rows(tmp_path)


def test_a_split_that_is_not_wanted_may_lack_files(tmp_path):
    write(tmp_path, train_en=b"", train_de=b"", test_en=b"", README_en=b"")
    assert [*parallel_files(tmp_path, ["en", "de"], ["train"])] == ["train"]
    with pytest.raises(InputError, match=r"test\.de is missing"):
        parallel_files(tmp_path, ["en", "de"], ["train", "test"])
