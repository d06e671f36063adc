"""Training on a stream, through the command line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nlp_rnn.errors import InputError
from nlp_rnn.tasks.translate.cli import TranslateCLI

SMALL = [
    "--network.vocab_size=40",
    "--network.embedding_size=16",
    "--network.hidden_size=32",
    "--data.streaming=true",
    "--data.buffer_size=70",
    "--data.tokens_per_batch=600",
    "--model.optimization.learning_rate=0.01",
    "--model.optimization.warmup_steps=5",
    "--averaging.decay=0.8",
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
]
TWO_EPOCHS = [
    "--trainer.max_epochs=2",
    "--model.optimization.decay=inverse_sqrt",
    "--data.subword_sampling=0.3",
]
CHECKPOINTS = "translate/version_0/checkpoints"


def fit(dataset: Path, folder: Path, *flags: str) -> TranslateCLI:
    common = [f"--data.dataset={dataset}", f"--trainer.default_root_dir={folder}"]
    return TranslateCLI(["fit", *common, *SMALL, *flags])


@pytest.fixture(scope="module")
def trained(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> TranslateCLI:
    folder = tmp_path_factory.mktemp("trained")
    return fit(corpus, folder, *TWO_EPOCHS)


def test_epochs_end_and_are_validated(trained: TranslateCLI) -> None:
    assert trained.trainer.current_epoch == 2
    steps = trained.trainer.global_step
    assert steps % 2 == 0
    assert steps > 10
    folder = Path(trained.trainer.default_root_dir)
    log = (folder / "translate/version_0/metrics.csv").read_text().splitlines()
    column = log[0].split(",").index("val_bleu")
    assert sum(bool(line.split(",")[column]) for line in log[1:]) == 2


def test_a_checkpoint_remembers_that_its_data_are_streamed(trained: TranslateCLI) -> None:
    best = Path(trained.trainer.default_root_dir) / CHECKPOINTS / "best.ckpt"
    cli = TranslateCLI(["test", f"--ckpt_path={best}"])
    assert cli.datamodule.streaming
    assert list(cli.datamodule._splits) == ["test"]


@pytest.mark.parametrize("step", [3, 14])
def test_interrupted_and_resumed_equals_uninterrupted(
    corpus: Path, tmp_path: Path, step: int, trained: TranslateCLI, interrupted: Callable[..., Any]
) -> None:
    with interrupted(TranslateCLI, step):
        fit(corpus, tmp_path, *TWO_EPOCHS)
    last = tmp_path / CHECKPOINTS / "last.ckpt"
    assert torch.load(last)["global_step"] == step + 1
    resumed = fit(corpus, tmp_path, *TWO_EPOCHS, f"--ckpt_path={last}")
    assert resumed.trainer.global_step == trained.trainer.global_step
    weights = resumed.model.state_dict()
    for name, value in trained.model.state_dict().items():
        assert torch.equal(value, weights[name]), name


def test_epochs_of_so_many_batches_are_resumed_within(
    corpus: Path, tmp_path: Path, interrupted: Callable[..., Any]
) -> None:
    flags = [*TWO_EPOCHS, "--trainer.limit_train_batches=4"]
    whole = fit(corpus, tmp_path / "whole", *flags)
    assert whole.trainer.global_step == 8
    with interrupted(TranslateCLI, 5):
        fit(corpus, tmp_path / "parts", *flags)
    last = tmp_path / "parts" / CHECKPOINTS / "last.ckpt"
    assert torch.load(last)["TranslationData"]["position"]["position"] == 2
    resumed = fit(corpus, tmp_path / "parts", *flags, f"--ckpt_path={last}")
    weights = resumed.model.state_dict()
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, weights[name]), name


@pytest.fixture
def parallel(corpus: Path, tmp_path: Path) -> Path:
    """The corpus as parallel text, without a validation split."""
    folder = tmp_path / "parallel"
    folder.mkdir()
    rows = [json.loads(line) for line in (corpus / "train.jsonl").open(encoding="utf-8")]
    for name in ("en", "de"):
        lines = "".join(f"{row[name]}\n" for row in rows)
        (folder / f"train.{name}").write_text(lines, encoding="utf-8")
    return folder


def test_a_number_of_updates_ends_with_a_checkpoint(
    parallel: Path, corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    validation = f"--data.validation={corpus / 'validation.jsonl'}"
    cli = fit(
        parallel, tmp_path, validation, "--trainer.max_steps=4", "--data.tokenizer_sample=123"
    )
    assert "tokenizer trained on the first 123 pairs" in caplog.messages
    saved = torch.load(tmp_path / CHECKPOINTS / "best.ckpt")
    assert saved["global_step"] == cli.trainer.global_step == 4
    position = saved["TranslationData"]["position"]
    assert (position["epoch"], position["position"]) == (0, 4)


def test_validation_has_to_be_named(parallel: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"validation split of its own.*--data\.validation"):
        fit(parallel, tmp_path, "--trainer.max_steps=4")


def test_a_cosine_has_to_end(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cosine .*--trainer\.max_steps.*inverse_sqrt"):
        fit(corpus, tmp_path)


def test_what_was_learnt_before_a_damaged_place_is_kept(corpus: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for split in ("train", "validation"):
        rows = [json.loads(line) for line in (corpus / f"{split}.jsonl").open(encoding="utf-8")]
        for name in ("en", "de"):
            text = "".join(f"{row[name]}\n" for row in rows)
            (data / f"{split}.{name}").write_text(text, encoding="utf-8")
    flags = [*TWO_EPOCHS, "--data.tokenizer_sample=200"]
    whole = fit(data, tmp_path / "whole", *flags)
    sound = (data / "train.en").read_bytes()
    (data / "train.en").write_bytes(sound + b"one line too many\n")
    with pytest.raises(InputError, match="as many lines"):
        fit(data, tmp_path / "parts", *flags)
    last = tmp_path / "parts" / CHECKPOINTS / "last.ckpt"
    assert 0 < torch.load(last)["global_step"] < whole.trainer.global_step / 2
    (data / "train.en").write_bytes(sound)
    resumed = fit(data, tmp_path / "parts", *flags, f"--ckpt_path={last}")
    weights = resumed.model.state_dict()
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, weights[name]), name
