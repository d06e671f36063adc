"""The whole task through its command line, on a corpus made up in a folder."""

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from sacrebleu import corpus_bleu

from nlp_rnn.errors import InputError, TruncationWarning
from nlp_rnn.inference import BeamSearch, Translator
from nlp_rnn.tasks.base import DivergedError
from nlp_rnn.tasks.run import run
from nlp_rnn.tasks.saving import DurableCheckpointIO
from nlp_rnn.tasks.translate.cli import TranslateCLI
from nlp_rnn.tasks.translate.data import TranslationData

DROPOUTS = ["embedding_dropout", "word_dropout", "dropout", "encoder_dropout", "output_dropout"]
SMALL = [
    "--network.vocab_size=40",
    "--network.embedding_size=16",
    "--network.hidden_size=32",
    "--data.tokens_per_batch=150",
    "--model.optimization.learning_rate=0.01",
    "--model.optimization.warmup_steps=5",
    "--averaging.decay=0.8",
    *(f"--network.{name}=0.1" for name in DROPOUTS),
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
]


def fit(corpus: Path, folder: Path, *flags: str) -> TranslateCLI:
    common = [f"--data.dataset={corpus}", f"--trainer.default_root_dir={folder}"]
    return TranslateCLI(["fit", *common, *SMALL, *flags])


@pytest.fixture(scope="module")
def trained(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder of a short training."""
    folder = tmp_path_factory.mktemp("trained")
    fit(corpus, folder, "--trainer.max_epochs=12")
    return folder / "translate" / "version_0" / "checkpoints"


def test_training_learns_and_logs(trained: Path) -> None:
    log = (trained.parent / "metrics.csv").read_text().splitlines()
    header = log[0].split(",")
    bleu = [float(line.split(",")[header.index("val_bleu")] or -1) for line in log[1:]]
    bleu = [value for value in bleu if value >= 0]
    assert len(bleu) == 12
    assert max(bleu) > 60 > bleu[0]
    assert (trained / "best.ckpt").exists()
    last = torch.load(trained / "last.ckpt")
    assert last["epoch"] == 11, "the last, whether or not it is the best"
    (kept,) = (state for name, state in last["callbacks"].items() if "ModelCheckpoint" in name)
    assert float(kept["best_model_score"]) == pytest.approx(max(bleu), abs=1e-3)


def test_checkpoint_alone_names_and_scores_its_data(
    trained: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli = TranslateCLI(["test", f"--ckpt_path={trained / 'best.ckpt'}"])
    assert cli.datamodule.dataset == str(corpus)
    printed = capsys.readouterr().out
    assert "tok:13a" in "".join(printed.split())
    assert corpus.name in "".join(printed.split()) or corpus.name in printed
    # What test reports is what the public class writes, whatever the batches.
    rows = [json.loads(line) for line in (corpus / "test.jsonl").open(encoding="utf-8")]
    translator = Translator.from_checkpoint(trained / "best.ckpt")
    again = translator([row["en"] for row in rows])
    expected = corpus_bleu(again, [[row["de"] for row in rows]]).score
    assert cli.model.scores[0].value == pytest.approx(expected)


def test_validation_is_the_same_alone_as_in_training(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli = TranslateCLI(["validate", f"--ckpt_path={trained / 'best.ckpt'}"])
    last = torch.load(trained / "last.ckpt")
    (kept,) = (state for name, state in last["callbacks"].items() if "ModelCheckpoint" in name)
    assert cli.model.scores[0].value == pytest.approx(float(kept["best_model_score"]), abs=1e-3)
    assert "greedy" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "precision"), [([], "fp32"), (["--trainer.precision=bf16-mixed"], "bf16")]
)
def test_evaluation_has_the_precision_of_the_trainer(
    trained: Path, flags: list[str], precision: str
) -> None:
    cli = TranslateCLI(["test", f"--ckpt_path={trained / 'best.ckpt'}", *flags])
    assert cli.model.translator.precision == precision
    assert cli.model.scores[0].value > 60


def test_the_language_of_the_target_chooses_the_tokenizer_of_bleu(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    TranslateCLI(["test", f"--ckpt_path={trained / 'best.ckpt'}", "--data.target_language=zh"])
    assert "tok:zh" in "".join(capsys.readouterr().out.split())


def test_another_runs_checkpoints_are_left_alone(
    trained: Path, corpus: Path, tmp_path: Path
) -> None:
    before = (trained / "best.ckpt").read_bytes()
    with pytest.raises(InputError, match="holds checkpoints, which would be overwritten"):
        fit(corpus, tmp_path, "--trainer.max_epochs=1", f"--checkpoint.dirpath={trained}")
    assert (trained / "best.ckpt").read_bytes() == before


def test_the_built_in_corpus_has_its_settings_by_name_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    printed = []
    for flags in ([], ["--data.dataset=phrasebook"], ["--data.dataset=other"]):
        with pytest.raises(SystemExit):
            TranslateCLI(["fit", *flags, "--print_config"])
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert "vocab_size: 900" in printed[0]
    assert "vocab_size: 4000" in printed[2]


def test_search_flags_are_honoured_beside_a_checkpoint(
    trained: Path, corpus: Path, tmp_path: Path
) -> None:
    checkpoint, output = f"--ckpt_path={trained / 'best.ckpt'}", tmp_path / "out.txt"
    flags = ["--model.search.beam_size=2", "--model.search.max_length_ratio=0.01"]
    rows = [json.loads(line) for line in (corpus / "test.jsonl").open(encoding="utf-8")]
    sources, references = [row["en"] for row in rows], [row["de"] for row in rows]
    translator = Translator.from_checkpoint(trained / "best.ckpt")
    wanted = translator(sources, BeamSearch(beam_size=2, max_length_ratio=0.01))
    assert wanted != translator(sources)
    cli = TranslateCLI(["test", checkpoint, *flags])
    assert cli.model.scores[0].value == pytest.approx(corpus_bleu(wanted, [references]).score)
    TranslateCLI(["predict", checkpoint, *flags, f"--output={output}"])
    assert output.read_text(encoding="utf-8").splitlines() == wanted


def test_predict_writes_a_line_per_row_in_order(
    trained: Path, corpus: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out" / "hyps.jsonl"
    flags = ["predict", f"--ckpt_path={trained / 'best.ckpt'}", f"--output={output}"]
    TranslateCLI(flags)
    records = [json.loads(line) for line in output.open(encoding="utf-8")]
    rows = [json.loads(line) for line in (corpus / "test.jsonl").open(encoding="utf-8")]
    assert [record["source"] for record in records] == [row["en"] for row in rows]
    translator = Translator.from_checkpoint(trained / "best.ckpt")
    assert [record["translation"] for record in records] == translator([row["en"] for row in rows])
    with pytest.raises(InputError, match="exists"):
        TranslateCLI(flags)


def test_predict_needs_no_references(trained: Path, corpus: Path, tmp_path: Path) -> None:
    sources = ["two cats", "", "a dog"]
    checkpoint = f"--ckpt_path={trained / 'best.ckpt'}"
    (tmp_path / "new.en").write_text("".join(f"{text}\n" for text in sources))
    (tmp_path / "new.jsonl").write_text(
        "".join(json.dumps({"en": text, "id": 1}) + "\n" for text in sources)
    )
    wanted = Translator.from_checkpoint(trained / "best.ckpt")(sources)
    for name in ("new", "new.jsonl"):
        output = tmp_path / f"{name}.txt"
        TranslateCLI(
            ["predict", checkpoint, f"--data.test={tmp_path / name}", f"--output={output}"]
        )
        assert output.read_text(encoding="utf-8").splitlines() == wanted
    with pytest.raises(InputError, match=r"nbest 2: predict writes one translation a row"):
        TranslateCLI(
            ["predict", checkpoint, "--model.search.nbest=2", f"--output={tmp_path / 'new'}"]
        )
    (tmp_path / "no.jsonl").write_text('{"fr": "un"}\n')
    with pytest.raises(InputError, match="no column 'en'"):
        TranslateCLI(["predict", checkpoint, f"--data.test={tmp_path / 'no.jsonl'}"])


def test_a_cut_text_is_named_by_its_row(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["a", "two cats on a mat", "b " * 600, "two"]
    for name in ("en", "de"):
        (tmp_path / f"t.{name}").write_text("".join(f"{text}\n" for text in lines))
    checkpoint = f"--ckpt_path={trained / 'best.ckpt'}"
    greedy = ["--model.search.beam_size=1", "--model.search.max_length_ratio=0.01"]
    with pytest.warns(TruncationWarning, match="text 3 has"):
        TranslateCLI(["test", checkpoint, f"--data.test={tmp_path / 't'}", *greedy])
    assert "greedy" in capsys.readouterr().out


def test_loads_in_a_fresh_process_after_the_data_is_gone(
    corpus: Path, tmp_path: Path, trained: Path
) -> None:
    checkpoint = tmp_path / "moved.ckpt"
    shutil.copy(trained / "best.ckpt", checkpoint)
    program = (
        "import sys; from nlp_rnn.inference import Translator;"
        f"print(Translator.from_checkpoint({str(checkpoint)!r})('two cats'));"
        "assert 'lightning' not in sys.modules and 'datasets' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.strip()


def test_plain_torch_opens_a_checkpoint(trained: Path) -> None:
    checkpoint = torch.load(trained / "best.ckpt", weights_only=True)
    assert checkpoint["nlp_rnn"] == {"task": "translate", "format": 1}
    assert checkpoint["hyper_parameters"]["hidden_size"] == 32


def test_another_network_than_the_checkpoint_has_is_refused(trained: Path) -> None:
    with pytest.raises(InputError, match=r"--network.hidden_size is 64.*trained with 32"):
        TranslateCLI(["test", f"--ckpt_path={trained / 'best.ckpt'}", "--network.hidden_size=64"])


def test_resuming_goes_on_in_the_folder_of_the_run(trained: Path, tmp_path: Path, caplog) -> None:
    run = tmp_path / "version_0"
    shutil.copytree(trained.parent, run)
    last, root = run / "checkpoints/last.ckpt", f"--trainer.default_root_dir={tmp_path}"
    with caplog.at_level(logging.INFO):
        cli = TranslateCLI(["fit", f"--ckpt_path={last}", "--trainer.max_epochs=13", root])
    assert cli.trainer.current_epoch == 13
    (said,) = [line for line in caplog.messages if "other settings" in line]
    changed = [change.split()[0] for change in said.split(": ", 1)[1].split(", ")]
    assert changed == ["trainer.max_epochs", "trainer.default_root_dir"]
    assert cli.trainer.checkpoint_callback.dirpath == str(last.parent)
    assert torch.load(last)["epoch"] == 12
    for name in ("config.yaml", "resumed.yaml"):
        (run / name).unlink()
    with pytest.raises(InputError, match=r"config\.yaml.* does not exist: name them with --config"):
        TranslateCLI(["fit", f"--ckpt_path={last}"])
    (run / "checkpoints/cut.ckpt").write_bytes(last.read_bytes()[:-100])
    with pytest.raises(InputError, match="not a readable checkpoint"):
        TranslateCLI(["fit", f"--ckpt_path={run / 'checkpoints/cut.ckpt'}"])


def test_checkpoints_are_saved_durably(corpus: Path, tmp_path: Path) -> None:
    cli = fit(corpus, tmp_path, "--trainer.max_steps=1")
    assert isinstance(cli.trainer.strategy.checkpoint_io, DurableCheckpointIO)


@pytest.mark.parametrize(("flag", "said"), [("bf16-mixed", True), ("32-true", False)])
def test_slow_bf16_is_warned_of(
    corpus: Path, tmp_path: Path, monkeypatch, caplog, flag: str, said: bool
) -> None:
    monkeypatch.setattr("nlp_rnn.cpu.CPUINFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text("flags : avx2")
    with caplog.at_level(logging.INFO):
        fit(corpus, tmp_path, "--trainer.max_steps=1", f"--trainer.precision={flag}")
    assert ("no bf16 instructions" in caplog.text) == said


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        (["--network.hidden=32"], "unrecognized arguments: --network.hidden=32"),
        (["--network.hiden_size=32"], "unrecognized arguments: --network.hiden_size=32"),
        (["--network.cell=grru"], "network.cell"),
    ],
)
def test_a_misspelt_option_is_said_shortly(
    flags: list[str], wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        TranslateCLI(["fit", *flags])
    assert stopped.value.code == 2
    printed = capsys.readouterr().err
    assert wanted in printed
    assert len(printed.splitlines()) <= 5


@pytest.mark.parametrize("command", ["fit", "test"])
def test_words_of_lightning_are_no_checkpoints(command: str) -> None:
    with pytest.raises(InputError, match="no checkpoint at last"):
        TranslateCLI([command, "--ckpt_path=last"])


def test_evaluation_without_a_checkpoint_is_refused() -> None:
    with pytest.raises(InputError, match="needs a trained model"):
        TranslateCLI(["test"])


@pytest.mark.parametrize("step", [3, 11, 27])
def test_interrupted_and_resumed_equals_uninterrupted(
    corpus: Path, tmp_path: Path, step: int, interrupted: Callable[..., Any]
) -> None:
    flags = ["--trainer.max_epochs=2", "--data.subword_sampling=0.3"]
    whole = fit(corpus, tmp_path / "whole", *flags)
    expected = torch.load(tmp_path / "whole/translate/version_0/checkpoints/last.ckpt")
    with interrupted(TranslateCLI, step):
        fit(corpus, tmp_path / "parts", *flags)
    stopped = tmp_path / "parts/translate/version_0/checkpoints/last.ckpt"
    assert torch.load(stopped)["global_step"] == step + 1
    TranslateCLI(["fit", f"--ckpt_path={stopped}"])  # with the settings of that run
    resumed = torch.load(tmp_path / "parts/translate/version_0/checkpoints/last.ckpt")

    assert resumed["global_step"] == expected["global_step"] == whole.trainer.global_step
    for name, value in expected["state_dict"].items():
        assert torch.equal(value, resumed["state_dict"][name]), name
    for name, value in expected["current_model_state"].items():
        assert torch.equal(value, resumed["current_model_state"][name]), name


def _program(*flags: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.run(
        [sys.executable, "-m", "nlp_rnn.tasks.translate", *flags],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


TWO = ["--trainer.strategy=ddp", "--trainer.devices=2", "--trainer.accelerator=cpu"]


@pytest.mark.slow
def test_two_processes_train_the_weights_of_one(corpus: Path, tmp_path: Path) -> None:
    flags = [
        "fit",
        f"--data.dataset={corpus}",
        *SMALL,
        "--trainer.max_epochs=2",
        *(f"--network.{name}=0" for name in DROPOUTS),
    ]
    one = _program(*flags, f"--trainer.default_root_dir={tmp_path / 'one'}")
    two = _program(*flags, f"--trainer.default_root_dir={tmp_path / 'two'}", *TWO)
    assert one.returncode == two.returncode == 0, one.stderr + two.stderr
    last = "translate/version_0/checkpoints/last.ckpt"
    expected, found = torch.load(tmp_path / "one" / last), torch.load(tmp_path / "two" / last)
    assert expected["global_step"] == found["global_step"]
    for name, value in expected["current_model_state"].items():
        torch.testing.assert_close(found["current_model_state"][name], value, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_two_processes_score_as_one(trained: Path) -> None:
    flags = ["test", f"--ckpt_path={trained / 'best.ckpt'}"]
    one, two = _program(*flags), _program(*flags, *TWO)
    assert one.returncode == two.returncode == 0, one.stderr + two.stderr
    table = [line for line in one.stdout.splitlines() if "BLEU" in line]
    assert table
    assert table == [line for line in two.stdout.splitlines() if "BLEU" in line]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--trainer.val_check_interval=1000"], "val_check_interval"),
        (["--trainer.val_check_interval=1"], "give 2 or more, or 1.0"),
        (["--trainer.limit_val_batches=0"], "the best checkpoint is chosen by validation"),
        (["--early_stopping.monitor=val_blue"], "val_blue"),
        (["--trainer.strategy=nonsense"], "nonsense"),
        (["--trainer.devices=-1", "--trainer.accelerator=cpu"], "should be an int > 0"),
        (["--checkpoint.filename=last"], "the last checkpoint has that name"),
        (["--trainer.default_root_dir={corpus}/train.jsonl/runs"], "train.jsonl"),
        (["--trainer.val_check_interval=00:00:10:00"], "00:00:10:00"),
        (['--trainer.val_check_interval={{"minutes": 10}}'], "a resume knows of no clock"),
    ],
)
def test_what_lightning_or_the_system_refuses_is_one_line(
    corpus: Path,
    tmp_path: Path,
    flags: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags = [flag.format(corpus=corpus) for flag in flags]
    with pytest.raises(SystemExit) as stopped:
        run(lambda: fit(corpus, tmp_path, "--trainer.max_epochs=1", *flags))
    assert stopped.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last


def test_without_a_logger_a_run_has_a_folder_all_the_same(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        common = [f"--data.dataset={corpus}", *SMALL, "--trainer.logger=false"]
        TranslateCLI(["fit", *common, "--trainer.max_steps=1"])
    for version in ("version_0", "version_1"):
        folder = tmp_path / "runs" / "translate" / version
        assert (folder / "config.yaml").is_file()
        assert (folder / "checkpoints" / "best.ckpt").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_a_run_has_a_folder_of_its_own_from_its_start(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []

    def second(data: TranslationData) -> None:
        if not begun:
            begun.append("first")
            fit(corpus, tmp_path, "--trainer.max_steps=1")
        prepare(data)

    prepare = TranslationData.prepare_data
    monkeypatch.setattr(TranslationData, "prepare_data", second)
    fit(corpus, tmp_path, "--trainer.max_steps=1")
    for version in ("version_0", "version_1"):
        assert (tmp_path / "translate" / version / "checkpoints" / "best.ckpt").is_file()


def test_a_run_that_is_refused_leaves_no_folder(corpus: Path, tmp_path: Path) -> None:
    for flag in ("--trainer.strategy=nonsense", "--data.source=none"):
        with pytest.raises((InputError, ValueError)):
            fit(corpus, tmp_path, flag)
    assert not [*tmp_path.iterdir()]


def test_a_folder_that_cannot_be_made_is_named(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "translate").symlink_to(tmp_path / "gone")
    with pytest.raises(SystemExit) as stopped:
        run(lambda: fit(corpus, tmp_path, "--trainer.max_steps=1"))
    assert stopped.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"error: {tmp_path}/translate: File exists"


def test_a_file_in_the_place_of_a_runs_folder_is_left_alone(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "translate").mkdir()
    (tmp_path / "translate" / "version_0").write_text("a note")
    fit(corpus, tmp_path, "--trainer.max_steps=1")
    assert (tmp_path / "translate" / "version_1" / "checkpoints" / "best.ckpt").is_file()


def test_a_tilde_is_the_home_folder(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    fit(corpus, Path("~/runs"), "--trainer.max_steps=1")
    assert [each.name for each in tmp_path.iterdir()] == ["home"]
    TranslateCLI(["test", "--ckpt_path=~/runs/translate/version_0/checkpoints/best.ckpt"])
    with pytest.raises(InputError, match="holds checkpoints"):
        fit(corpus, tmp_path, "--checkpoint.dirpath=~/runs/translate/version_0/checkpoints")


@pytest.mark.parametrize(
    "flag",
    ["--trainer.min_epochs=1", "--trainer.min_steps=3", "--trainer.check_val_every_n_epoch=2"],
)
def test_the_last_update_is_validated_whatever_is_the_least(
    corpus: Path, tmp_path: Path, flag: str
) -> None:
    fit(corpus, tmp_path, flag, "--trainer.max_steps=2")
    saved = torch.load(tmp_path / "translate/version_0/checkpoints/best.ckpt")
    assert saved["global_step"] == 2


def test_a_printed_config_is_that_of_the_checkpoint(
    trained: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        TranslateCLI(["test", f"--ckpt_path={trained / 'best.ckpt'}", "--print_config"])
    assert f"dataset: {corpus}" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        TranslateCLI(["test", "--print_config"])
    assert "dataset: phrasebook" in capsys.readouterr().out


def test_a_users_mistake_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = _program("test", f"--ckpt_path={tmp_path / 'none.ckpt'}")
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("error: no checkpoint at")
    assert "Traceback" not in done.stderr


def test_non_finite_gradients_stop_before_the_update(
    corpus: Path, tmp_path: Path, during_update: Callable[..., Any]
) -> None:
    def spoil(loss: torch.Tensor) -> None:
        loss.data.fill_(float("nan"))
        loss.register_hook(lambda gradient: gradient * float("nan"))

    with (
        during_update(TranslateCLI, 60, spoil),
        pytest.raises(DivergedError, match=r"update 60: .* is nan"),
    ):
        fit(corpus, tmp_path, "--trainer.max_epochs=3")
    saved = torch.load(tmp_path / "translate/version_0/checkpoints/last.ckpt")
    assert saved["global_step"] <= 60
    assert all(value.isfinite().all() for value in saved["state_dict"].values())
