import csv
import zipfile

import pytest

from nlp_rnn.data.sources import load_splits
from nlp_rnn.data.tables import find_tables, reading_options, short_row
from nlp_rnn.errors import InputError

COLUMNS = {"text": "text", "label": "label"}


def test_tables_that_are_packed_are_refused(tmp_path):
    (tmp_path / "train.csv").write_text("a,b\nx,y\n")
    assert find_tables(tmp_path) == [tmp_path / "train.csv"]
    (tmp_path / "test.csv.gz").write_bytes(b"")
    with pytest.raises(InputError, match=r"test\.csv\.gz is compressed: unpack it"):
        load_splits(str(tmp_path), columns={"a": "a"})


def test_quotes_are_text_where_all_tables_have_tabs(tmp_path):
    assert reading_options([]) == {}
    for name, content in (("a.tsv", "\ufeffx\ty\n"), ("b.tsv", "\n\nz\n"), ("c.csv", 'x,"w,1"\n')):
        (tmp_path / name).write_text(content, encoding="utf-8")
    tabs = reading_options([tmp_path / "a.tsv", tmp_path / "b.tsv"])
    assert tabs["quoting"] == csv.QUOTE_NONE
    assert [*tabs["converters"]] == ["x", "y", "z"]
    both = reading_options(find_tables(tmp_path))
    assert "quoting" not in both
    assert [*both["converters"]] == ["w,1", "x", "y", "z"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", 'text,label\n"two\nlines",a\n\nb\n'),
        ("t.tsv", 'text\tlabel\n"b\ta\n\nc\td\nb\n'),
    ],
)
@pytest.mark.parametrize("folder", [False, True])
def test_rows_that_end_early_are_no_empty_texts(tmp_path, name, content, folder):
    (tmp_path / name).write_text(content)
    assert short_row([tmp_path / name], ["text", "label"]) == f"{tmp_path / name}, line 5"
    with pytest.raises(InputError, match=r"t\.[ct]sv, line 5: the row has fewer cells than"):
        load_splits(str(tmp_path if folder else tmp_path / name), columns=COLUMNS)


def test_cells_that_are_empty_are_empty_texts(tmp_path):
    (tmp_path / "t.csv").write_text("text,label\n,a\nb,\n")
    assert short_row(find_tables(tmp_path / "t.csv"), ["text", "label"]) == ""
    rows = load_splits(str(tmp_path / "t.csv"), columns=COLUMNS)["train"]
    assert (rows["text"][:], rows["label"][:]) == (["", "b"], ["a", ""])


def test_rows_may_end_before_a_cell_that_nobody_wants(tmp_path):
    (tmp_path / "t.csv").write_text("text,label,note\na,01,x\n,02,y\nz,03\n")
    rows = load_splits(str(tmp_path / "t.csv"), columns=COLUMNS)["train"]
    assert (rows["text"][:], rows["label"][:]) == (["a", "", "z"], ["01", "02", "03"])


def test_rows_behind_a_cell_as_long_as_a_book_are_looked_at(tmp_path):
    (tmp_path / "t.csv").write_text(f"text,label\n{'word ' * 30_000},a\nshort\nfine,b\n")
    with pytest.raises(InputError, match=r"t\.csv, line 3: the row has fewer cells"):
        load_splits(str(tmp_path / "t.csv"), columns=COLUMNS)


def test_tables_in_an_archive_are_to_be_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "train.zip", "w") as archive:
        archive.writestr("train.csv", "text,label\n1.10,01\n")
    with pytest.raises(InputError, match=r"train\.zip has tables in it: unpack it"):
        load_splits(str(tmp_path), columns=COLUMNS)
