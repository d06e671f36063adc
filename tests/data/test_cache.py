from pathlib import Path

from nlp_rnn.data import cache, sources
from nlp_rnn.data.cache import cache_folder, code_version


def test_the_folder_may_be_in_the_home_of_the_user(monkeypatch):
    monkeypatch.setenv("NLP_RNN_CACHE", "~/kept")
    assert cache_folder() == Path.home() / "kept"
    monkeypatch.delenv("NLP_RNN_CACHE")
    assert Path.home() in cache_folder().parents


def test_the_version_is_that_of_the_code(monkeypatch, tmp_path):
    for name in ("data/cache.py", "data/lines.py", "tasks/classify/data.py", "tasks/base.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    monkeypatch.setattr(cache, "__file__", str(tmp_path / "data/cache.py"))
    seen = []
    for name in ("", "data/lines.py", "tasks/classify/data.py", "tasks/base.py"):
        if name:
            (tmp_path / name).write_text("changed = True")
        code_version.cache_clear()
        seen.append(code_version())
    code_version.cache_clear()
    assert len({*seen[:3]}) == 3
    assert seen[2] == seen[3]  # which makes no rows


def test_rows_of_older_code_are_made_anew(monkeypatch, tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text('{"text": "hello"}\n')

    def load():
        return sources.load_splits(str(path), columns={"text": "text"})["train"]["text"][:]

    assert load() == ["hello"]
    monkeypatch.setattr(sources, "_text", lambda cell, names: cell.upper())
    monkeypatch.setattr(sources, "code_version", lambda: "newer")
    assert load() == ["HELLO"]
