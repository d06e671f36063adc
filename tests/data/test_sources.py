import json
import os
import subprocess
import sys
from functools import lru_cache

import datasets
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from nlp_rnn.data import sources
from nlp_rnn.data.sources import load_splits
from nlp_rnn.errors import InputError

COLUMNS = {"source": "en", "target": "de"}
ROWS = [{"en": "a cat", "de": "eine Katze"}, {"en": "", "de": "NA"}, {"en": "x", "de": '"q'}]
WANTED = [{"source": row["en"], "target": row["de"]} for row in ROWS]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


def jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


CONTENTS = {
    "jsonl": jsonl(ROWS),
    "json": json.dumps(ROWS),
    "csv": 'en,de\na cat,eine Katze\n,NA\nx,"""q"\n',
    "tsv": 'en\tde\na cat\teine Katze\n\tNA\nx\t"q\n',
}


def load(path, columns=COLUMNS, **settings):
    return load_splits(str(path), columns=columns, **settings)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("kind", [*CONTENTS, "parquet"])
def test_a_file_is_train(tmp_path, kind, streaming):
    path = tmp_path / f"data.{kind}"
    if kind == "parquet":
        Dataset.from_list(ROWS).to_parquet(path)
    else:
        path.write_text(CONTENTS[kind])
    splits = load(path, streaming=streaming)
    assert list(splits) == ["train"]
    assert list(splits["train"]) == WANTED
    assert splits["train"].features == Features(source=Value("string"), target=Value("string"))


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("kind", CONTENTS)
def test_a_folder_of_files(tmp_path, kind, streaming):
    for split in ("train", "val", "test"):
        (tmp_path / f"{split}.{kind}").write_text(CONTENTS[kind])
    (tmp_path / "README.md").write_text("# Data")
    splits = load(tmp_path, streaming=streaming)
    assert sorted(splits) == ["test", "train", "validation"]
    assert all(list(split) == WANTED for split in splits.values())


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("prefix", [False, True])
def test_parallel_text(tmp_path, prefix, streaming):
    for name in ("en", "de"):
        (tmp_path / f"train.{name}").write_text("".join(f"{row[name]}\n" for row in ROWS))
    splits = load(tmp_path / "train" if prefix else tmp_path, streaming=streaming)
    assert list(splits) == ["train"]
    assert list(splits["train"]) == WANTED


def test_the_columns_of_the_hub_stand_within_translation(tmp_path):
    (tmp_path / "x.jsonl").write_text(jsonl({"id": 1, "translation": row} for row in ROWS))
    assert list(load(tmp_path / "x.jsonl")["train"]) == WANTED
    with pytest.raises(InputError, match=r"no column 'fr'; there are en, de, id"):
        load(tmp_path / "x.jsonl", {"source": "en", "target": "fr"})


@pytest.mark.parametrize("streaming", [False, True])
def test_names_may_be_exchanged(tmp_path, streaming):
    (tmp_path / "x.jsonl").write_text(jsonl([{"source": "a", "target": "b"}]))
    columns = {"source": "target", "target": "source"}
    splits = load(tmp_path / "x.jsonl", columns, streaming=streaming)
    assert list(splits["train"]) == [{"source": "b", "target": "a"}]


@pytest.mark.parametrize("streaming", [False, True])
def test_numbers_and_class_labels_become_text(tmp_path, streaming):
    labels = ClassLabel(names=["bad", "good"])
    features = Features(text=Value("int64"), label=labels)
    rows = Dataset.from_dict({"text": [7, 8, 9], "label": [1, 0, -1]}, features=features)
    DatasetDict(train=rows).save_to_disk(tmp_path / "saved")
    splits = load(tmp_path / "saved", {"text": "text", "label": "label"}, streaming=streaming)
    assert [tuple(row.values()) for row in splits["train"]] == [
        ("7", "good"),
        ("8", "bad"),
        ("9", "-1"),
    ]


def test_the_phrasebook_is_built_in(monkeypatch):
    monkeypatch.setattr(sources, "phrasebook", lru_cache(sources.phrasebook))
    splits = load("phrasebook")
    assert sorted(splits) == ["test", "train", "validation"]
    streamed = load("phrasebook", streaming=True)
    assert next(iter(streamed["train"])) == splits["train"][0]
    assert splits["train"]._fingerprint == load("phrasebook")["train"]._fingerprint
    with pytest.raises(InputError, match="'xx'"):
        load("phrasebook", {"source": "en", "target": "xx"})


def test_one_column_of_the_opinions_may_be_read_alone():
    both = load("opinions", {"text": "text", "label": "label"})["test"]
    assert load("opinions", {"text": "text"})["test"]["text"][:] == both["text"][:]
    with pytest.raises(InputError, match="not text, mood"):
        load("opinions", {"text": "text", "label": "mood"})


def test_a_text_file_beside_tables_is_no_data(tmp_path):
    (tmp_path / "train.csv").write_text(CONTENTS["csv"])
    (tmp_path / "README.txt").write_text("notes\n")
    assert list(load(tmp_path, {"text": "en"})) == ["train"]
    (tmp_path / "train.txt").write_text("text\n")
    assert sorted(load(tmp_path, {"text": "en"})) == ["README", "train"]


def test_json_tables_are_tables_and_notes_of_datasets_are_not(tmp_path):
    (tmp_path / "README.txt").write_text("notes\n")
    (tmp_path / "dataset_info.json").write_text("{}")
    assert load(tmp_path, {"text": "text"})["README"]["text"][:] == ["notes"]
    (tmp_path / "train.json").write_text(json.dumps([{"text": "a"}]))
    (tmp_path / "dataset_info.json").unlink()
    assert load(tmp_path, {"text": "text"})["train"]["text"][:] == ["a"]


def test_tables_of_no_split_need_not_be_readable(tmp_path):
    (tmp_path / "train.tsv").write_text('\n"text"\tlabel\na "quote\t01\n')
    (tmp_path / "notes.csv").write_bytes("Größe\n".encode("latin-1"))
    columns = {"text": '"text"', "label": "label"}
    assert load(tmp_path / "train.tsv", columns)["train"].to_list() == [
        {"text": 'a "quote', "label": "01"}
    ]
    (tmp_path / "train.tsv").write_text("text\tlabel\na\t01\n")
    columns = {"text": "text", "label": "label"}
    assert load(tmp_path, columns)["train"]["label"][:] == ["01"]


def test_a_wanted_text_file_is_read_beside_tables(tmp_path):
    (tmp_path / "test.txt").write_text("a\n")
    (tmp_path / "meta.json").write_text("[]")
    assert load(tmp_path, {"text": "text"}, splits=["test"])["test"]["text"][:] == ["a"]


def test_a_text_file_is_read_whatever_lies_beside_it(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "train.txt").write_text("of the folder\n")
    (tmp_path / "book.txt").write_text("of the file\n")
    assert load(tmp_path / "book.txt", {"text": "text"})["train"]["text"][:] == ["of the file"]


@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_cells_are_text_as_they_are_written(tmp_path, ending):
    tab = "\t" if ending == "tsv" else ","
    for name, rows in (("train", [("a", "01"), ("1.10", "02")]), ("test", [("true", "")])):
        lines = [tab.join(row) for row in [("text", "label"), *rows]]
        (tmp_path / f"{name}.{ending}").write_text("\n".join(lines) + "\n")
    columns = {"text": "text", "label": "label"}
    splits = load(tmp_path, columns)
    assert splits["train"]["label"][:] == ["01", "02"]
    assert splits["train"]["text"][:] == ["a", "1.10"]
    assert splits["test"]["text"][:] == ["true"]
    alone = load(tmp_path / f"train.{ending}", columns)
    assert alone["train"]["label"][:] == ["01", "02"]


def test_only_wanted_files_are_read(tmp_path):
    for name, text in (("train.en", "a\nb\n"), ("train.de", "A\n"), ("test.en", "c\n")):
        (tmp_path / name).write_text(text)
    (tmp_path / "test.de").write_text("C\n")
    with pytest.raises(InputError, match="as many lines"):
        load(tmp_path)
    assert list(load(tmp_path, splits=["test"])) == ["test"]


def test_only_wanted_splits_need_the_columns(tmp_path):
    (tmp_path / "train.csv").write_text(CONTENTS["csv"])
    (tmp_path / "test.csv").write_text("en\na cat\n")
    splits = load(tmp_path, splits=["train"])
    assert list(splits["train"]) == WANTED
    assert splits["test"]["de"][:] == [None]
    with pytest.raises(InputError, match="test, row 1: 'de' is missing"):
        load(tmp_path, splits=["test"])


def test_a_file_that_changed_is_read_again(tmp_path):
    path = tmp_path / "x.jsonl"
    found = []
    for text in ("old", "new"):
        path.write_text(jsonl([{"en": text, "de": text}]))
        os.utime(path, (len(found), len(found)))
        found.append(load(path)["train"])
    assert [data["source"][:] for data in found] == [["old"], ["new"]]
    assert found[0]._fingerprint != found[1]._fingerprint


BAD = {
    "missing column": ("x.jsonl", b'{"en": "a", "fr": "b"}\n', "no column 'de'; there are en, fr"),
    "missing cell": ("x.jsonl", jsonl([*ROWS, {"en": "a"}]).encode(), "row 4: 'de' is missing"),
    "null": ("x.jsonl", jsonl([*ROWS, {"en": None, "de": ""}]).encode(), "row 4: 'en' is missing"),
    "a list": (
        "x.jsonl",
        jsonl([*ROWS, {"en": ["a"], "de": ""}]).encode(),
        "row 4: 'en' is a list",
    ),
    "cut short": ("x.jsonl", jsonl(ROWS).encode()[:-9], r"x\.jsonl, line 3: no JSON object"),
    "no objects": ("x.jsonl", b'"a"\n', r"x\.jsonl, line 1: no JSON object"),
    "jsonl not utf-8": ("x.jsonl", b'{"en": "a", "de": "\xff"}', r"x\.jsonl, line 1: byte 0xff"),
    "csv not utf-8": ("x.csv", b"en,de\na,b\nc,\xff\n", r"x\.csv, line 3: byte 0xff"),
    "ragged": ("x.csv", b"en,de\na,b\nc,d,e\n", r"x\.csv cannot be read: .* line 3"),
    "header only": ("x.csv", b"en,de\n", r"x\.csv has a header only"),
    "empty jsonl": ("x.jsonl", b"", r"x\.jsonl is empty"),
    "empty csv": ("x.csv", b"", r"x\.csv is empty"),
    "junk": ("x.parquet", b"junkjunk", r"x\.parquet cannot be read"),
    "unknown ending": ("x.doc", b"a", r"x\.doc: no data with this ending .* \.jsonl"),
}


@pytest.mark.parametrize(("name", "content", "message"), BAD.values(), ids=BAD)
def test_a_bad_file_gets_one_clear_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        load(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "content", "message"), BAD.values(), ids=BAD)
def test_a_bad_file_in_a_folder_too(tmp_path, name, content, message):
    if name == "x.doc":
        pytest.skip("a folder may hold anything besides the data")
    (tmp_path / name.replace("x", "train")).write_bytes(content)
    message = message.replace("x\\", "train\\").replace("train\\.csv cannot", "cannot")
    with pytest.raises(InputError, match=message.replace("train\\.parquet cannot", "cannot")):
        load(tmp_path)


@pytest.mark.parametrize("name", ["missing column", "null", "a list", "cut short", "empty csv"])
def test_a_bad_file_while_streaming(tmp_path, name):
    file, content, message = BAD[name]
    (tmp_path / file).write_bytes(content)
    if name == "cut short":
        message = r"x\.jsonl"
    with pytest.raises(InputError, match=message):
        list(load(tmp_path / file, streaming=True)["train"])


def test_an_empty_folder_and_empty_texts(tmp_path):
    with pytest.raises(InputError, match=r"cannot be read: .*any data files"):
        load(tmp_path)
    (tmp_path / "train.en").touch()
    (tmp_path / "train.de").touch()
    with pytest.raises(InputError, match=r"train\.en.*empty"):
        load(tmp_path)


def test_a_script_is_refused(tmp_path):
    (tmp_path / f"{tmp_path.name}.py").write_text("raise SystemExit")
    with pytest.raises(InputError, match="scripts are no longer supported"):
        load(tmp_path)


def test_equal_columns_are_refused():
    with pytest.raises(InputError, match="en, en must differ"):
        load("phrasebook", {"source": "en", "target": "en"})


@pytest.mark.parametrize(
    "name",
    [
        "./absent",
        "/absent",
        "~/absent",
        "~nobody_here/a",
        "absent.csv",
        "absent.txt",
        "a/b/c",
        "a b",
    ],
)
def test_what_looks_like_a_path_is_not_asked_of_the_hub(name, monkeypatch):
    monkeypatch.setattr(datasets, "load_dataset", None)
    with pytest.raises(InputError, match=f"^{name} does not exist; give a folder"):
        load(name)


def test_a_hub_id_and_its_configuration(monkeypatch):
    asked = []

    def load_dataset(*args, **settings):
        asked.append((*args, settings))
        return DatasetDict(train=Dataset.from_list([{"translation": row} for row in ROWS]))

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert list(load("wmt/wmt14:de-en")["train"]) == WANTED
    load("owner/name")
    assert asked == [
        ("wmt/wmt14", "de-en", {"streaming": False}),
        ("owner/name", None, {"streaming": False}),
    ]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ConnectionError("no route"), "cannot be reached; give a folder .* built-in corpus"),
        (datasets.exceptions.DatasetNotFoundError("It is gated.\nAsk."), "serve it: It is gated;"),
        (RuntimeError("Dataset scripts are no longer supported"), "scripts are no longer"),
        (ValueError("BuilderConfig 'x' not found"), "'x' not found"),
    ],
    ids=["unreachable", "absent", "script", "configuration"],
)
def test_what_the_hub_may_say(error, message, monkeypatch):
    def load_dataset(*args, **settings):
        raise error

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(InputError, match=f"owner/name is no local file or folder.*{message}"):
        load("owner/name")


def test_offline_there_is_no_waiting():
    program = (
        "from nlp_rnn.data.sources import load_splits; import time; start = time.monotonic()\n"
        "try: load_splits('owner/absent', columns={'source': 'en', 'target': 'de'})\n"
        "except ValueError as error: print(time.monotonic() - start, error)"
    )
    out = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    seconds, message = out.split(" ", 1)
    assert float(seconds) < 30  # a Hub that is not there is asked for minutes
    assert "Hub cannot be reached" in message


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "en,de\n10,000 rubles,10.000 Rubel\nin 3 days,in 3 Tagen\n"),
        ("t.tsv", "en\tde\nin 3 days\tin 3 Tagen\tmore\n"),
    ],
)
@pytest.mark.parametrize("streaming", [False, True])
def test_rows_wider_than_the_header_are_refused(tmp_path, name, content, streaming):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match="rows have more cells than its header"):
        load_splits(str(tmp_path / name), columns=COLUMNS, streaming=streaming)


def test_dates_of_json_are_named(tmp_path):
    (tmp_path / "d.jsonl").write_text('{"en": "11 July 2014", "de": "2014-07-11"}\n')
    with pytest.raises(InputError, match="'de' was taken for a date"):
        load_splits(str(tmp_path / "d.jsonl"), columns=COLUMNS)


def test_parallel_text_is_read_once_and_again_if_it_changed(tmp_path):
    (tmp_path / "a.en").write_text("one\n")
    (tmp_path / "a.de").write_text("eins\n")
    first, again = (load_splits(f"{tmp_path}/a", columns=COLUMNS)["train"] for _ in range(2))
    assert first.cache_files
    assert first.cache_files == again.cache_files
    (tmp_path / "a.de").write_text("eins\nzwei\n")
    (tmp_path / "a.en").write_text("one\ntwo\n")
    assert load_splits(f"{tmp_path}/a", columns=COLUMNS)["train"][:] == {
        "source": ["one", "two"],
        "target": ["eins", "zwei"],
    }
