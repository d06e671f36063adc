"""The whole task through its command line, on a text made up in a folder."""

import json
import logging
import math
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nlp_rnn.data.tokenizer import EOS
from nlp_rnn.data.words import WordVocabulary
from nlp_rnn.errors import InputError
from nlp_rnn.inference import TextGenerator
from nlp_rnn.perplexity import TextSize
from nlp_rnn.tasks.base import DivergedError
from nlp_rnn.tasks.language_model.cli import LanguageModelCLI
from nlp_rnn.tasks.language_model.data import LanguageModelData, _units
from nlp_rnn.tasks.language_model.task import LanguageModelTask

SMALL = [
    "--network.vocab_size=27",
    "--network.embedding_size=16",
    "--network.hidden_size=16",
    "--network.embedding_dropout=0.1",
    "--network.dropout=0.1",
    "--network.output_dropout=0.1",
    "--data.batch_size=4",
    "--data.window=[8,12]",
    "--data.eval_batch_size=3",
    "--model.optimization.learning_rate=0.02",
    "--model.optimization.warmup_steps=5",
    "--averaging.decay=0.8",
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Plain text in three splits: the second word of a line follows from its first."""
    folder = tmp_path_factory.mktemp("text")
    animals = {"dog": "barks", "cat": "purrs", "cow": "moos", "owl": "hoots"}
    rng = random.Random(0)
    for split, count in (("train", 150), ("validation", 25), ("test", 25)):
        lines = []
        for _ in range(count):
            animal = rng.choice(list(animals))
            lines.append(f"the {animal} {animals[animal]} at {rng.choice(['noon', 'night'])}")
        (folder / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return folder


def fit(folder, root, *flags):
    common = [f"--data.dataset={folder}", f"--trainer.default_root_dir={root}"]
    return LanguageModelCLI(["fit", *common, *SMALL, *flags])


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    root = tmp_path_factory.mktemp("trained")
    fit(folder, root, "--trainer.max_epochs=6")
    return root / "language_model" / "version_0" / "checkpoints" / "best.ckpt"


def test_training_learns_what_follows_from_what(trained):
    generator = TextGenerator.from_checkpoint(trained)
    likely, unlikely = map(
        sum, generator.log_probs(["the owl hoots at noon", "the owl moos at noon"])
    )
    assert likely > unlikely + 2


def test_a_checkpoint_alone_names_and_scores_its_data(trained, folder, capsys):
    cli = LanguageModelCLI(["test", f"--ckpt_path={trained}", "--data.eval_batch_size=1"])
    printed = capsys.readouterr().out
    assert folder.name in "".join(printed.split())
    assert "streams of text, state carried: 1" in " ".join(printed.split())
    # One pass over the whole text by the network alone gives the same.
    generator = TextGenerator.from_checkpoint(trained)
    lines = (folder / "test.txt").read_text().splitlines()
    ids = [3] + [i for line in lines for i in [*generator.vocabulary.encode(line), 3]]
    tokens = torch.tensor([ids])
    network = generator.network
    reading, _ = network(tokens[:, :-1], network.zero_state(1))
    nats = network.nats(reading, tokens[:, 1:]).detach().double()
    assert cli.model.results["token_perplexity"] == pytest.approx(float(nats.mean().exp()), 1e-4)
    words = sum(len(line.split()) + 1 for line in lines)
    assert cli.model.results["word_perplexity"] == pytest.approx(
        float((nats.sum() / words).exp()), 1e-4
    )


def test_cache_and_dynamic_evaluation_are_options_of_test(trained):
    cache, dynamic = "--model.cache.size=50", "--model.dynamic.learning_rate=1"
    several = "--data.eval_window=8"  # windows; what is learnt from one helps the next
    for command in ("test", "validate"):
        plain, *changed = (
            LanguageModelCLI([command, f"--ckpt_path={trained}", several, *options]).model
            for options in ([], [cache], [dynamic], [cache, dynamic])
        )
        found = [round(each.results["token_perplexity"], 4) for each in (plain, *changed)]
        for each in changed:  # what was learnt from the text is forgotten
            for name, weight in plain.network.state_dict().items():
                assert torch.equal(weight, each.network.state_dict()[name]), name
        assert len(set(found)) == 4
        assert max(found) < 2 * found[0]


def test_predict_writes_a_log_probability_per_line(trained, folder, tmp_path):
    output = tmp_path / "scores.txt"
    LanguageModelCLI(["predict", f"--ckpt_path={trained}", f"--output={output}"])
    found = [float(line) for line in output.read_text().splitlines()]
    lines = (folder / "test.txt").read_text().splitlines()
    expected = [sum(each) for each in TextGenerator.from_checkpoint(trained).log_probs(lines)]
    assert found == pytest.approx(expected, abs=1e-3)


def test_loads_in_a_fresh_process_without_lightning(trained, tmp_path):
    shutil.copy(trained, tmp_path / "moved.ckpt")
    program = (
        "import sys; from nlp_rnn import TextGenerator;"
        "print(TextGenerator.from_checkpoint('moved.ckpt')('the dog'));"
        "assert 'lightning' not in sys.modules and 'datasets' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.startswith("the dog")


EPOCH = 77
"""Updates of the first one."""
BYTES = ["--data.tokenizer=bpe", "--data.byte_fallback=true", "--network.vocab_size=300"]
NT_ASGD = [
    "--model.optimization.algorithm=sgd",
    "--model.optimization.learning_rate=60",
    "--model.optimization.decay=constant",
    "--averaging.non_monotone=1",
    "--trainer.val_check_interval=0.1",
]


@pytest.mark.parametrize(
    ("step", "flags"),
    [
        (2, []),
        (20, ["--trainer.val_check_interval=0.5"]),
        (33, ["--trainer.max_steps=60"]),
        (30, NT_ASGD),
        (12, ["--model.optimization.algorithm=muon"]),
        (4, ["--trainer.accumulate_grad_batches=3"]),
        (12, [*BYTES, "--model.softmax_sample=9"]),
        (12, ["--network.pointer_span=7"]),
        (EPOCH - 1, ["--trainer.max_steps=90"]),
    ],
)
def test_interrupted_and_resumed_equals_uninterrupted(folder, tmp_path, step, flags, interrupted):
    flags = ["--trainer.max_epochs=2", *flags]
    fit(folder, tmp_path / "whole", *flags)
    expected = torch.load(tmp_path / "whole/language_model/version_0/checkpoints/last.ckpt")
    with interrupted(LanguageModelCLI, step):
        fit(folder, tmp_path / "parts", *flags)
    stopped = tmp_path / "parts/language_model/version_0/checkpoints/last.ckpt"
    assert torch.load(stopped)["global_step"] == step + 1
    if step == EPOCH - 1:
        assert torch.load(stopped)["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    fit(folder, tmp_path / "parts", *flags, f"--ckpt_path={stopped}")
    resumed = torch.load(stopped)
    assert (stopped.parent.parent / "resumed.yaml").is_file()
    assert resumed["global_step"] == expected["global_step"]
    for weights in ("current_model_state", "state_dict"):
        for name, value in expected[weights].items():
            assert torch.equal(value, resumed[weights][name]), name
    for one, other in zip(expected["carried_state"], resumed["carried_state"], strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
    if flags[1:] == NT_ASGD:
        assert resumed["callbacks"]["Averaging"]["begun"] < resumed["global_step"]


def test_muon_has_the_matrices_of_the_layers_and_nothing_else(folder, tmp_path):
    flags = ["--model.optimization.algorithm=muon", "--trainer.max_steps=1"]
    task = fit(folder, tmp_path, *flags).model
    states = task.optimizers().state
    for name, weight in task.network.named_parameters():
        if weight.requires_grad:
            of_muon = "weight_ih" in name or "weight_hh" in name
            assert ("momentum_buffer" in states[weight]) == of_muon, name
            assert ("exp_avg" in states[weight]) != of_muon, name


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--data.batch_size=5000"], "cannot be read as 5000 streams"),
        (["--data.batch_size=0"], "batch_size 0 is out of range"),
        (
            ["--network.tied=false", "--network.adaptive_cutoffs=[10]", "--data.tokenizer=bpe"],
            "BPE puts single characters last",
        ),
        (["--data.window=[0]"], "give one or more lengths"),
        (["--data.tokenizer=word", "--network.vocab_size=999"], "use 5 to 16"),
        (["--model.temporal_regularization=-1"], "temporal_regularization -1.0 is out of range"),
        (["--data.column=sentence", "--data.dataset=topics"], "topics has the column text"),
        (["--model.softmax_sample=-1"], "softmax_sample -1 is out of range"),
        (
            [
                "--network.tied=false",
                "--network.adaptive_cutoffs=[10]",
                "--model.softmax_sample=9",
            ],
            "leave out softmax_sample or adaptive_cutoffs",
        ),
        (["--trainer.precision=bf16-true"], "32-true or bf16-mixed"),
        (
            ["--trainer.accumulate_grad_batches=3", "--trainer.val_check_interval=5"],
            "every 5 batches, but an update has 3",
        ),
        (["--checkpoint.mode=max"], "add --checkpoint.mode min"),
        (
            ["--data.tokenizer=word", "--network.vocab_size=16", "--data.byte_fallback=true"],
            "byte_fallback and whole_words are for SentencePiece",
        ),
        (
            ['--data.whole_words=["<UNK>","owl"]', "--data.lowercase=true"],
            "whole_words <UNK>: under lowercase they are never met",
        ),
    ],
)
def test_mistakes_are_named(folder, tmp_path, flags, message):
    with pytest.raises(InputError, match=message):
        fit(folder, tmp_path, *flags)


@pytest.mark.parametrize(
    "flags",
    [
        ["--data.tokenizer=word", "--network.vocab_size=16"],
        ["--data.unit=document", "--data.direction=backward"],
        ["--network.tied=false", "--network.adaptive_cutoffs=[10]", "--model.head_precision=bf16"],
        ["--data.tokenizer=char", "--network.vocab_size=25", "--network.cell=rnn_tanh"],
        ["--data.tokenizer=bpe", "--network.cell=gru"],
        BYTES,
        ["--network.cell=rnn_relu", "--model.optimization.learning_rate=0.004"],
        ["--network.weight_dropout=0.2", "--network.type_dropout=0.1"],
        ["--model.activation_regularization=2", "--model.temporal_regularization=1"],
        ["--model.head_precision=bf16"],
        [*BYTES, "--model.softmax_sample=9"],
        ["--network.pointer_span=9", "--model.softmax_sample=9"],
        ["--network.pointer_span=9", "--model.head_precision=bf16"],
    ],
    ids=str,
)
def test_every_option_trains(folder, tmp_path, flags):
    cli = fit(folder, tmp_path, "--trainer.max_epochs=2", *flags)
    guessing = cli.model.network.arguments["vocab_size"]
    assert 1 < cli.model.results["token_perplexity"] < 0.7 * guessing


@pytest.mark.parametrize(("precision", "said"), [("bf16", True), ("trainer", False)])
def test_a_slow_softmax_is_warned_of(folder, tmp_path, precision, said, monkeypatch, caplog):
    monkeypatch.setattr("nlp_rnn.cpu.CPUINFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text("flags : avx2")
    with caplog.at_level(logging.INFO):
        fit(folder, tmp_path, "--trainer.max_steps=1", f"--model.head_precision={precision}")
    assert ("no bf16 instructions" in caplog.text) == said
    assert ("softmax in bf16" in caplog.text) == said
    assert ("softmax in 32-true" in caplog.text) != said


def test_bf16_is_refused_where_the_cpu_has_no_lstm_of_it(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("nlp_rnn.inference.networks.runs_bf16_lstm", lambda: False)
    with pytest.raises(InputError, match="32-true"):
        fit(folder, tmp_path, "--trainer.precision=bf16-mixed")


@pytest.mark.parametrize(
    ("monitor", "said"),
    [
        ("val_loss", "best validation perplexity: "),
        ("val_bits_per_byte", "best val_bits_per_byte: "),
        ("null", "best checkpoint: "),
    ],
)
def test_the_best_is_told_in_its_own_metric(folder, tmp_path, monitor, said, capsys):
    fit(folder, tmp_path, "--trainer.max_epochs=1", f"--checkpoint.monitor={monitor}")
    output = capsys.readouterr().out
    assert said in output
    assert ("perplexity: " in output) == (monitor == "val_loss")


@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_a_loss_that_is_no_number_stops_before_the_update(folder, tmp_path, algorithm, monkeypatch):
    step = LanguageModelTask.training_step

    def spoilt(self, batch, batch_idx):
        loss = step(self, batch, batch_idx)
        return loss * float("nan") if self.global_step == 80 else loss

    monkeypatch.setattr(LanguageModelTask, "training_step", spoilt)
    flags = [f"--trainer.gradient_clip_algorithm={algorithm}", "--trainer.max_epochs=9"]
    with pytest.raises(DivergedError, match=r"update 80: .* is nan; lower .*learning_rate"):
        fit(folder, tmp_path, *flags)
    saved = torch.load(tmp_path / "language_model/version_0/checkpoints/last.ckpt")
    assert 0 < saved["global_step"] <= 80
    assert all(value.isfinite().all() for value in saved["state_dict"].values())


def test_a_resume_keeps_its_settings_and_the_best_score(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    LanguageModelCLI(["fit", *SMALL, f"--data.dataset={folder}", "--trainer.max_epochs=1"])
    last = Path("runs/language_model/version_0/checkpoints/last.ckpt")
    best = torch.load(last.with_name("best.ckpt"))["global_step"]
    moved = shutil.copytree(folder, tmp_path / "moved")
    worse = ["--model.optimization.learning_rate=50", "--trainer.max_epochs=2"]
    LanguageModelCLI(["fit", f"--ckpt_path={last}", f"--data.dataset={moved}", *worse])
    assert torch.load(last.with_name("best.ckpt"))["global_step"] == best

    again = LanguageModelCLI(["fit", f"--ckpt_path={last}", "--trainer.max_epochs=3"])
    settings = again.config.fit
    assert settings.data.dataset == str(moved)  # of the first resume
    assert settings.data.window == [8, 12]  # of the first run
    assert settings.model.optimization.learning_rate == 50
    assert torch.load(last)["epoch"] == 2
    begun = (last.parent.parent / "config.yaml").read_text()
    assert "learning_rate: 0.02\n" in begun


def test_a_resume_may_change_dropout_and_no_size(folder, tmp_path, interrupted):
    with interrupted(LanguageModelCLI, 5):
        fit(folder, tmp_path, "--trainer.max_epochs=1")
    stopped = tmp_path / "language_model/version_0/checkpoints/last.ckpt"
    resume = ["fit", f"--ckpt_path={stopped}"]
    with pytest.raises(InputError, match=r"hidden_size is 24, but .* was trained with 16"):
        LanguageModelCLI([*resume, "--network.hidden_size=24"])
    cli = LanguageModelCLI([*resume, "--network.dropout=0.3", "--network.weight_dropout=0.2"])
    decoder = cli.model.network.decoder
    assert (decoder.dropout.p, decoder.lower.weight_dropout.p) == (0.3, 0.2)
    kept = torch.load(stopped)["hyper_parameters"]
    assert (kept["dropout"], kept["weight_dropout"], kept["output_dropout"]) == (0.3, 0.2, 0.1)
    begun = stopped.parent.parent / "config.yaml"  # with another dropout, of no use to a test
    LanguageModelCLI(["test", f"--config={begun}", f"--ckpt_path={stopped}"])


def test_a_resume_into_another_folder_leaves_the_settings(folder, tmp_path, interrupted):
    with interrupted(LanguageModelCLI, 5):
        fit(folder, tmp_path, "--trainer.max_epochs=1")
    run = tmp_path / "language_model/version_0"
    resume = ["fit", f"--ckpt_path={run}/checkpoints/last.ckpt"]
    LanguageModelCLI([*resume, f"--checkpoint.dirpath={tmp_path}/new"])
    assert (tmp_path / "new" / "last.ckpt").is_file()
    assert not (run / "resumed.yaml").exists()
    LanguageModelCLI(resume)
    assert (run / "resumed.yaml").is_file()


def test_a_resume_that_is_refused_leaves_the_settings(folder, tmp_path, monkeypatch):
    fit(folder, tmp_path, "--trainer.max_epochs=1")
    run = tmp_path / "language_model/version_0"
    monkeypatch.chdir(run / "checkpoints")  # the settings are found from there, too
    resume = ["fit", "--ckpt_path=last.ckpt", "--trainer.max_epochs=2"]
    with pytest.raises(InputError, match="sgd cannot go on with a checkpoint of adamw"):
        LanguageModelCLI([*resume, "--model.optimization.algorithm=sgd"])
    LanguageModelCLI(resume)
    assert "dirpath: null" in (run / "resumed.yaml").read_text()


@pytest.mark.parametrize(
    "flag", ["--data.batch_size=2", "--data.window=[6]", "--data.window=[12,8]", "--data.seed=2"]
)
def test_a_resume_inside_an_epoch_needs_the_same_windows(folder, tmp_path, flag, interrupted):
    with interrupted(LanguageModelCLI, 5):
        fit(folder, tmp_path)
    stopped = tmp_path / "language_model/version_0/checkpoints/last.ckpt"
    with pytest.raises(InputError, match="from the middle of an epoch, which"):
        fit(folder, tmp_path, f"--ckpt_path={stopped}", flag)


def test_a_resume_may_leave_bf16(folder, tmp_path, interrupted):
    flags = ["--network.cell=rnn_tanh", "--trainer.max_epochs=1"]
    with interrupted(LanguageModelCLI, 5):
        fit(folder, tmp_path, *flags, "--trainer.precision=bf16-mixed")
    stopped = tmp_path / "language_model/version_0/checkpoints/last.ckpt"
    assert torch.load(stopped)["carried_state"][0].dtype == torch.bfloat16
    fit(folder, tmp_path, *flags, f"--ckpt_path={stopped}", "--trainer.precision=32-true")
    assert torch.load(stopped)["carried_state"][0].dtype == torch.float32


def test_going_on_with_other_text_takes_the_vocabulary_along(trained, tmp_path):
    (tmp_path / "small.txt").write_text("a dog\n" * 30)  # too little for a vocabulary of 27
    run = shutil.copytree(trained.parents[1], tmp_path / "run")
    flags = [f"--data.dataset={tmp_path / 'small.txt'}", "--trainer.max_epochs=7"]
    checkpoint = run / "checkpoints/best.ckpt"
    cli = LanguageModelCLI(["fit", f"--ckpt_path={checkpoint}", *flags])
    assert cli.datamodule.vocabulary == TextGenerator.from_checkpoint(trained).vocabulary


def test_an_option_that_a_checkpoint_does_not_know_yet_has_its_default(trained, tmp_path):
    checkpoint = torch.load(trained)
    del checkpoint["hyper_parameters"]["pointer_span"]
    old = tmp_path / "old.ckpt"
    torch.save(checkpoint, old)
    LanguageModelCLI(["test", f"--ckpt_path={old}"])
    with pytest.raises(InputError, match=r"pointer_span is 5, but .*old.ckpt was trained with 0"):
        LanguageModelCLI(["test", f"--ckpt_path={old}", "--network.pointer_span=5"])


def test_a_test_set_belongs_to_the_data_that_it_was_named_with(trained, folder, tmp_path, capsys):
    flags = [f"--data.test={folder / 'validation.txt'}", "--trainer.max_steps=1"]
    fit(folder, tmp_path, *flags)
    checkpoint = tmp_path / "language_model/version_0/checkpoints/best.ckpt"
    LanguageModelCLI(["test", f"--ckpt_path={checkpoint}"])
    assert "validation.txt" in "".join(capsys.readouterr().out.split())
    other = shutil.copytree(folder, tmp_path / "other")
    LanguageModelCLI(["test", f"--ckpt_path={checkpoint}", f"--data.dataset={other}"])
    assert "other,test" in "".join(capsys.readouterr().out.split())


def test_a_model_reads_in_the_direction_it_learnt(trained):
    with pytest.raises(InputError, match="backward, but the model was trained with forward"):
        LanguageModelCLI(["test", f"--ckpt_path={trained}", "--data.direction=backward"])
    with pytest.raises(InputError, match="lowercase is True, but the model was trained with False"):
        LanguageModelCLI(["fit", f"--ckpt_path={trained}", "--data.lowercase=true"])


def test_unknown_tokens_are_counted(trained, tmp_path, capsys):
    (tmp_path / "test.txt").write_text("the dog barks at noon\nthe 犬 barks at 夜\n")
    flags = ["--data.eval_batch_size=1", f"--data.test={tmp_path / 'test.txt'}"]
    LanguageModelCLI(["test", f"--ckpt_path={trained}", *flags])
    assert ", 2 of " in " ".join(capsys.readouterr().out.split())


def test_a_gradient_is_never_clipped_to_less_than_nothing(folder, tmp_path):
    found = []
    for number, value in enumerate((-1, 0)):
        root = tmp_path / str(number)
        clip = f"--trainer.gradient_clip_val={value}"
        (group,) = (
            fit(folder, root, clip, "--trainer.max_steps=3").trainer.optimizers[0].param_groups
        )
        assert group["lr"] == pytest.approx(0.02 * 4 / 5)  # after each update, in its warm-up of 5
        checkpoint = torch.load(root / "language_model/version_0/checkpoints/last.ckpt")
        found.append(checkpoint["current_model_state"]["network.decoder.embedding.weight"])
    assert torch.equal(*found)


def test_a_part_of_the_text_is_scored_as_a_part(trained):
    whole = LanguageModelCLI(["test", f"--ckpt_path={trained}"]).model.results
    part = LanguageModelCLI(
        ["test", f"--ckpt_path={trained}", "--data.eval_window=4", "--trainer.limit_test_batches=5"]
    ).model.results
    assert part["token_perplexity"] != pytest.approx(whole["token_perplexity"], rel=0.01)
    tokens_a_word, as_read = (
        math.log(each["word_perplexity"]) / math.log(each["token_perplexity"])
        for each in (whole, part)
    )
    assert as_read == pytest.approx(tokens_a_word)


@pytest.mark.parametrize(("tokenizer", "size"), [("unigram", 27), ("word", 16)])
def test_lower_case_is_part_of_the_vocabulary(folder, tmp_path, tokenizer, size):
    cli = fit(
        folder,
        tmp_path,
        "--trainer.max_steps=1",
        "--data.lowercase=true",
        f"--data.tokenizer={tokenizer}",
        f"--network.vocab_size={size}",
    )
    vocabulary = cli.datamodule.vocabulary
    assert vocabulary.encode("The DOG Barks") == vocabulary.encode("the dog barks")
    assert vocabulary.decode(vocabulary.encode("The DOG Barks")) == "the dog barks"


def test_a_line_end_of_a_row_is_its_end_mark(folder, tmp_path):
    lines = (folder / "test.txt").read_text().splitlines()
    rows = [json.dumps({"text": f"{line}\n"}) for line in lines]
    (tmp_path / "test.jsonl").write_text("\n".join(rows))
    fitted = fit(folder, tmp_path / "runs", "--trainer.max_steps=1").datamodule
    kept = LanguageModelData(dataset=str(folder), test=str(tmp_path / "test.jsonl"))
    kept.vocabulary = fitted.vocabulary
    assert torch.equal(kept.ids("test"), fitted.ids("test"))
    assert kept.size("test") == fitted.size("test")


def test_a_whole_word_is_one_token(folder):
    def pieces(*words):
        data = LanguageModelData(dataset=str(folder), vocab_size=27, whole_words=list(words))
        data.train_vocabulary()
        return data.vocabulary.pieces(data.vocabulary.encode("the owl"))

    assert "▁owl" in pieces("owl")
    assert "▁owl" not in pieces()


def test_every_option_has_a_vocabulary_of_its_own(folder):
    found = []
    for options in ({}, {"tokenizer": "bpe"}, {"lowercase": True}):
        data = LanguageModelData(dataset=str(folder), vocab_size=27, **options)
        data.train_vocabulary()
        found.append(data.vocabulary.to_bytes())
    assert len(set(found)) == 3


def test_a_text_is_measured_in_words_characters_and_bytes(tmp_path):
    (tmp_path / "test.txt").write_text("The owl\nüber 夜\n", encoding="utf-8")
    data = LanguageModelData(dataset=str(tmp_path))
    data.vocabulary = WordVocabulary(["the"])
    assert data.size("test") == TextSize(words=6, characters=15, bytes=18)


@pytest.mark.parametrize(("unit", "rows"), [("row", 95), ("document", 98)])
def test_the_end_of_train_is_held_out(tmp_path, unit, rows):
    lines = ["" if n % 7 == 6 else str(n) for n in range(105)]
    (tmp_path / "t.txt").write_text("\n".join(lines) + "\n")
    data = LanguageModelData(dataset=str(tmp_path / "t.txt"), unit=unit)
    assert data.split("train")["text"][:] == lines[:rows]
    assert data.split("validation")["text"][:] == lines[rows:]


def test_documents_are_the_rows_between_blank_ones(tmp_path):
    rows = ["one two\n", "three\n", "", " \n", "four\n"]
    units = list(_units(rows, "document"))
    assert units == ["one two\nthree", "four"]
    assert list(_units(rows, "row")) == ["one two", "three", "", " ", "four"]
    lines = [["red blue", "green"], ["blue"], ["green red"]] * 4
    text = "\n\n".join("\n".join(each) for each in lines)
    for split in ("train", "test"):
        (tmp_path / f"{split}.txt").write_text(text)
    for direction in ("forward", "backward"):
        data = LanguageModelData(
            dataset=str(tmp_path),
            tokenizer="word",
            vocab_size=7,
            unit="document",
            direction=direction,
        )
        data.train_vocabulary()
        read = data.vocabulary.decode(data.ids("test")[1:4].tolist()).split()
        assert read == (["red", "blue", "green"] if direction == "forward" else ["red", "green"])
        assert data.ids("test").tolist().count(EOS) == len(lines) + 1
        assert data.ids("test")[-1] == EOS
        assert data.tokens("test") == data.size("test").words == 4 * (3 + 1 + 2) + len(lines)
    (tmp_path / "test.txt").write_text("\n \n")
    data = LanguageModelData(dataset=str(tmp_path), tokenizer="word", vocab_size=7, unit="document")
    data.train_vocabulary()
    with pytest.raises(InputError, match="test: there is no text in it"):
        data.ids("test")


@pytest.mark.slow
def test_two_processes_train_the_weights_of_one(folder, tmp_path):
    flags = [
        *("fit", f"--data.dataset={folder}", *SMALL, "--trainer.max_epochs=2"),
        "--model.optimization.learning_rate=0.002",  # Adam's first updates magnify rounding
        *(f"--network.{name}=0" for name in ("embedding_dropout", "dropout", "output_dropout")),
        "--network.pointer_span=5",
    ]
    two = ["--trainer.strategy=ddp", "--trainer.devices=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    for name, extra in (("one", []), ("two", two)):
        subprocess.run(
            [
                sys.executable,
                "-m",
                "nlp_rnn.tasks.language_model",
                *flags,
                *extra,
                f"--trainer.default_root_dir={tmp_path / name}",
            ],
            env=environment,
            check=True,
            capture_output=True,
        )
    last = Path("language_model/version_0/checkpoints/last.ckpt")
    expected, found = torch.load(tmp_path / "one" / last), torch.load(tmp_path / "two" / last)
    assert expected["global_step"] == found["global_step"]
    for name, value in expected["current_model_state"].items():
        torch.testing.assert_close(found["current_model_state"][name], value, rtol=0, atol=1e-5)
    for one, both in zip(expected["carried_state"], found["carried_state"]):
        torch.testing.assert_close(both, one, rtol=0, atol=1e-5)
