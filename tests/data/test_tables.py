import csv

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
    assert short_row([tmp_path / name]) == f"{tmp_path / name}, line 5"
    with pytest.raises(InputError, match=r"t\.[ct]sv, line 5: the row has fewer cells than"):
        load_splits(str(tmp_path if folder else tmp_path / name), columns=COLUMNS)


def test_cells_that_are_empty_are_empty_texts(tmp_path):
    (tmp_path / "t.csv").write_text("text,label\n,a\nb,\n")
    assert short_row(find_tables(tmp_path / "t.csv")) == ""
    rows = load_splits(str(tmp_path / "t.csv"), columns=COLUMNS)["train"]
    assert (rows["text"][:], rows["label"][:]) == (["", "b"], ["a", ""])
