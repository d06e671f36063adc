import logging

import pytest

from nlp_rnn.callbacks import ResumedSettings
from nlp_rnn.callbacks.resumed_settings import settings_of

BEGAN = """
seed_everything: 1
network: {dropout: 0.1, cell: lstm}
data: {whole_words: ["<unk>"]}
checkpoint: {dirpath: elsewhere}
ckpt_path: null
"""


class Trainer:
    is_global_zero = True


@pytest.fixture
def resume(tmp_path, caplog):
    """Resume a run with other settings; what is said of them."""
    (tmp_path / "config.yaml").write_text(BEGAN)

    def begin(settings: str, *, trains: bool = True) -> str:
        callback = ResumedSettings(tmp_path, settings)
        caplog.clear()
        with caplog.at_level(logging.INFO):
            callback.on_fit_start(Trainer(), None)
        if trains:
            callback.on_train_batch_start(Trainer(), None, None, 0)
        return caplog.text

    return begin


def test_the_same_settings_are_no_news(resume) -> None:
    assert not resume(BEGAN.replace("elsewhere", "null").replace("null", "last.ckpt"))


def test_other_settings_are_named(resume) -> None:
    said = resume(BEGAN.replace("0.1", "0.3").replace('"<unk>"', '"<unk>", "@-@"'))
    assert "network.dropout 0.3 (was 0.1)" in said
    assert "data.whole_words ['<unk>', '@-@'] (was ['<unk>'])" in said
    assert "network.cell" not in said
    assert "seed_everything" not in said


def test_those_of_the_last_resume_count(resume, tmp_path) -> None:
    resume(BEGAN.replace("0.1", "0.3"))
    assert "network.dropout 0.1 (was 0.3)" in resume(BEGAN)
    assert settings_of(tmp_path).read_text() == BEGAN


def test_a_resume_that_does_not_train_leaves_no_trace(resume, tmp_path) -> None:
    resume(BEGAN.replace("0.1", "0.3"), trains=False)
    assert [each.name for each in tmp_path.iterdir()] == ["config.yaml"]
    assert settings_of(tmp_path).name == "config.yaml"
