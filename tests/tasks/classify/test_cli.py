"""The whole task through its command line."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from nlp_rnn import TextClassifier
from nlp_rnn.data.batching import TokenBatches
from nlp_rnn.errors import InputError, TruncationWarning
from nlp_rnn.label_metrics import label_nats, label_scores
from nlp_rnn.modules.convolution import spellings
from nlp_rnn.tasks.classify.cli import _NEGATION, ClassifyCLI
from nlp_rnn.tasks.classify.task import Evaluation
from nlp_rnn.tasks.language_model.cli import LanguageModelCLI


def quiet(*args):
    return ClassifyCLI([*args, "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"])


def test_it_learns_what_words_alone_do_not_say(trained):
    classifier = TextClassifier.from_checkpoint(trained)
    assert classifier("the film is good").label == "positive"
    assert classifier("the film is not good").label == "negative"
    assert classifier("the film is long").label == "neutral"


def test_fit_ends_with_figures_examples_and_pictures(folder, fit, tmp_path, capsys):
    fit(folder, tmp_path)
    shown = capsys.readouterr().out
    for expected in ("macro recall", "TF-IDF", "true label", "is not ", "best checkpoint"):
        assert expected in shown
    pictures = tmp_path / "classify/version_0"
    assert (pictures / "confusion.png").stat().st_size > 5000
    assert (pictures / "reliability.png").stat().st_size > 5000


def test_the_loss_of_validation_is_not_fitted_to_it(folder, fit, tmp_path):
    cli = fit(folder, tmp_path, "--trainer.max_epochs=1")
    seen, temperature = cli.model.evaluation, cli.model.temperature
    fitted = label_scores(seen.logits / temperature, seen.targets).loss
    assert temperature != 1
    assert seen.scores.loss == label_scores(seen.logits, seen.targets).loss > fitted
    assert float(cli.trainer.callback_metrics["val_loss"]) == pytest.approx(seen.scores.loss)


def test_test_needs_the_checkpoint_alone(trained, tmp_path, capsys):
    cli = quiet("test", f"--ckpt_path={trained}", f"--plots={tmp_path}/plots", "--top_losses=3")
    shown = capsys.readouterr().out
    assert "24 texts" in shown
    costs = [float(each) for each in re.findall(r"(\d\.\d\d) │\n", shown.split("cost most")[1])]
    assert len(costs) == 3
    assert costs == sorted(costs, reverse=True)
    assert costs[0] == pytest.approx(
        float(
            label_nats(
                cli.model.evaluation.logits / cli.model.temperature, cli.model.evaluation.targets
            ).max()
        ),
        abs=0.006,
    )
    assert "TF-IDF" in shown
    assert "calibration error" in shown
    assert (tmp_path / "plots/confusion.png").exists()
    assert f"pictures: {tmp_path}/plots/*.png" in shown
    scores = cli.model.evaluation.scores
    assert scores.accuracy > 0.8
    assert int(scores.confusion.sum()) == 24
    with pytest.raises(SystemExit):
        quiet("test", f"--ckpt_path={trained}", "--top_losses=-1")
    with pytest.raises(InputError, match="plots exists"):
        quiet("test", f"--ckpt_path={trained}", f"--plots={tmp_path}/plots")


def test_what_test_says_is_what_the_public_classifier_says(trained, folder):
    cli = quiet("test", f"--ckpt_path={trained}")
    with (folder / "test.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = TextClassifier.from_checkpoint(trained)([row["text"] for row in rows])
    evaluation, temperature = cli.model.evaluation, cli.model.temperature
    assert temperature != 1
    probs = torch.tensor([[*each.probabilities.values()] for each in found])
    torch.testing.assert_close(probs, (evaluation.logits / temperature).softmax(1))
    right = sum(each.label == row["label"] for each, row in zip(found, rows))
    assert cli.model.evaluation.scores.accuracy == pytest.approx(right / len(rows))
    assert cli.trainer.callback_metrics["test_accuracy"] == pytest.approx(right / len(rows))


def test_validation_is_the_same_alone_as_in_training(trained, capsys):
    cli = quiet("validate", f"--ckpt_path={trained}")
    saved = torch.load(trained, weights_only=True)
    callback = next(v for k, v in saved["callbacks"].items() if k.startswith("ModelCheckpoint"))
    assert cli.model.evaluation.scores.accuracy == pytest.approx(
        float(callback["best_model_score"])
    )


def test_predict_writes_a_line_per_row(trained, folder, tmp_path):
    for name in ("labels.tsv", "labels.jsonl"):
        quiet("predict", f"--ckpt_path={trained}", f"--output={tmp_path / name}")
    with (folder / "test.csv").open() as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    lines = (tmp_path / "labels.tsv").read_text().splitlines()
    records = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().splitlines()]
    assert [record["text"] for record in records] == texts
    assert [line.split("\t")[0] for line in lines] == [record["label"] for record in records]
    assert sum(records[0]["probabilities"].values()) == pytest.approx(1)
    for wrong, message in (
        (f"{tmp_path}/labels.tsv", r"labels\.tsv exists"),
        (f"{tmp_path}/labels.tsv/new.tsv", r"new\.tsv cannot be written"),
    ):
        with pytest.raises(InputError, match=message):
            quiet("predict", f"--ckpt_path={trained}", f"--output={wrong}")


def test_a_text_that_was_cut_is_named_by_its_row(trained, folder, tmp_path, monkeypatch):
    lines = (folder / "test.csv").read_text().splitlines()
    long = '"' + "the film is not good " * 30 + '",negative'
    (tmp_path / "test.csv").write_text("\n".join([*lines[:18], long, *lines[18:]]) + "\n")
    monkeypatch.setattr("nlp_rnn.inference.classification.LIMIT", 100)
    test = ["test", f"--ckpt_path={trained}", f"--data.test.dataset={tmp_path / 'test.csv'}"]
    for flags in ([], ['--data.test.label_map={"neutral": null}']):
        with pytest.warns(TruncationWarning, match="text 18 has") as caught:
            quiet(*test, *flags)
        (cut,) = (each for each in caught if each.category is TruncationWarning)
        assert "contextlib" not in cut.filename


def test_going_on_with_other_data_compares_with_a_baseline_of_theirs(fit, folder, tmp_path):
    first = fit(folder, tmp_path, "--trainer.max_epochs=1")
    other = shutil.copytree(folder, tmp_path / "other")
    lines = (folder / "train.csv").read_text().splitlines()
    (other / "train.csv").write_text("\n".join(lines[: len(lines) // 4]) + "\n")
    last = tmp_path / "classify/version_0/checkpoints/last.ckpt"
    flags = [f"--data.dataset={other}", "--trainer.max_epochs=2"]
    again = quiet("fit", f"--ckpt_path={last}", *flags)
    assert again.datamodule.vocabulary == first.datamodule.vocabulary
    before, after = (each.datamodule.baseline.state_dict() for each in (first, again))
    assert not torch.equal(before["idf"], after["idf"])
    saved = torch.load(last)["ClassificationData"]
    assert torch.equal(saved["baseline"]["idf"], after["idf"])
    # Other labels of the same texts are other data, too.
    fewer = '--data.label_map={"neutral": "positive"}'
    third = quiet("fit", f"--ckpt_path={last}", fewer, "--trainer.max_epochs=3")
    assert third.datamodule.baseline.scores(["the film is long"]).argmax() == 2
    one = '--data.label_map={"neutral": "positive", "negative": "positive"}'
    with pytest.raises(InputError, match="all training texts are 'positive'"):
        quiet("fit", f"--ckpt_path={last}", one, "--trainer.max_epochs=4")


def test_a_split_that_is_not_there_is_named_with_its_option(trained, folder, tmp_path):
    for name in ("train", "validation"):
        shutil.copy(folder / f"{name}.csv", tmp_path)
    with pytest.raises(InputError, match=r"no test split .*--data\.test\.dataset"):
        quiet("test", f"--ckpt_path={trained}", f"--data.dataset={tmp_path}")


def test_fit_needs_no_labels_in_what_it_does_not_read(folder, fit, tmp_path):
    shutil.copy(folder / "train.csv", tmp_path)
    for name in ("validation", "test"):
        (tmp_path / f"{name}.csv").write_text("text\nthe film is good\n")
    validation = f"--data.validation.dataset={folder}/validation.csv"
    cli = fit(tmp_path, tmp_path / "runs", validation, "--trainer.max_steps=1")
    best = cli.trainer.checkpoint_callback.best_model_path
    with pytest.raises(InputError, match="test, row 1: 'label' is missing"):
        quiet("test", f"--ckpt_path={best}")


def test_other_test_data_bring_their_own_columns_and_label_map(fit, folder, tmp_path):
    codes = {"negative": "-", "positive": "+", "neutral": "0"}
    lines = (folder / "test.csv").read_text().splitlines()[1:]
    coded = [f"{text},{codes[label]}" for text, label in (line.split(",") for line in lines)]
    (tmp_path / "coded.csv").write_text("\n".join(["said,label", *coded]) + "\n")
    named = {code: label for label, code in codes.items()}
    cli = fit(
        folder,
        tmp_path,
        f"--data.test.dataset={tmp_path}/coded.csv",
        "--data.test.text=said",
        f"--data.test.label_map={json.dumps(named)}",
        "--trainer.max_steps=1",
    )
    best = cli.trainer.checkpoint_callback.best_model_path
    targets = quiet("test", f"--ckpt_path={best}").model.evaluation.targets
    own = quiet("test", f"--ckpt_path={best}", f"--data.test.dataset={folder}/test.csv")
    assert torch.equal(own.model.evaluation.targets, targets)


def test_the_vocabulary_keeps_its_options(trained):
    with pytest.raises(InputError, match="lowercase is True, but the model was trained with False"):
        quiet("test", f"--ckpt_path={trained}", "--data.lowercase=true")


def test_predict_needs_no_labels_and_leaves_none_out(trained, tmp_path):
    (tmp_path / "new.csv").write_text("text\nthe film is good\nthe film is long\n")
    output = tmp_path / "labels.tsv"
    flags = [f"--data.test.dataset={tmp_path}/new.csv", '--data.test.label_map={"neutral": null}']
    quiet("predict", f"--ckpt_path={trained}", f"--output={output}", *flags)
    assert [line.split("\t")[0] for line in output.read_text().splitlines()] == [
        "positive",
        "neutral",
    ]


def test_predict_reads_the_rows_that_test_does(trained, folder, tmp_path):
    data = shutil.copytree(folder, tmp_path / "data")
    for name in ("train", "test"):  # the text alone, for a language model
        (data / f"{name}.txt").write_text("another text\n")
    with (data / "test.csv").open() as file:
        rows = [row["text"] for row in csv.DictReader(file)]
    for name in ("dataset", "test.dataset"):
        output = tmp_path / f"{name}.jsonl"
        flags = [f"--output={output}", f"--data.{name}={data}"]
        quiet("predict", f"--ckpt_path={trained}", *flags)
        texts = [json.loads(line)["text"] for line in output.read_text().splitlines()]
        assert texts == rows


def test_a_split_of_the_main_data_may_have_a_label_map_of_its_own(trained, capsys):
    cli = quiet("test", f"--ckpt_path={trained}", '--data.test.label_map={"neutral": null}')
    assert "24 texts" not in capsys.readouterr().out
    assert set(cli.model.evaluation.targets.tolist()) == {0, 2}


@pytest.mark.parametrize(
    ("command", "read"), [("test", "test"), ("validate", "val"), ("predict", "predict")]
)
def test_a_limit_that_leaves_nothing_is_refused(trained, tmp_path, command, read):
    flags = [f"--output={tmp_path}/labels.tsv"] if command == "predict" else []
    with pytest.raises(InputError, match=f"limit_{read}_batches 0 leaves nothing to {command}"):
        quiet(command, f"--ckpt_path={trained}", f"--trainer.limit_{read}_batches=0", *flags)


def test_a_limit_of_batches_scores_what_was_read(trained, monkeypatch, capsys):
    make = TokenBatches.__init__
    monkeypatch.setattr(
        TokenBatches,
        "__init__",
        lambda self, lengths, **options: make(
            self, lengths, **{**options, "tokens_per_batch": 160}
        ),
    )
    cli = quiet(
        "test", f"--ckpt_path={trained}", "--trainer.limit_test_batches=2", "--top_losses=2"
    )
    rows = cli.model.evaluation.rows
    assert 2 <= len(rows) < 24
    assert f"{len(rows)} texts" in capsys.readouterr().out


def test_what_costs_most_is_named_by_its_row_in_the_data(trained, tmp_path, capsys):
    data = tmp_path / "test.csv"
    lines = ["text,label", *["the film is good,other"] * 20, "the film is not good,positive"]
    data.write_text("\n".join(lines) + "\n")
    quiet(
        "test",
        f"--ckpt_path={trained}",
        f"--data.test.dataset={data}",
        "--data.test.label_map={other: null}",
        "--top_losses=1",
    )
    assert " 21 " in capsys.readouterr().out.split("cost most")[1]


def test_another_data_set_is_searched_for_the_split(trained, folder, tmp_path):
    for name in ("train", "validation"):
        shutil.copy(folder / f"{name}.csv", tmp_path)
    with pytest.raises(InputError, match=r"has no test split \(it has .*train"):
        quiet("test", f"--ckpt_path={trained}", f"--data.test.dataset={tmp_path}")


@pytest.mark.parametrize("flags", [[], ["--model.unfreeze_every=1", "--model.layer_decay=0.5"]])
def test_interrupted_and_resumed_equals_uninterrupted(folder, fit, tmp_path, flags, interrupted):
    flags = ["--trainer.max_epochs=2", *flags]
    fit(folder, tmp_path / "whole", *flags)
    expected = torch.load(tmp_path / "whole/classify/version_0/checkpoints/last.ckpt")
    step = int(expected["global_step"] * 0.7)
    with interrupted(ClassifyCLI, step):
        fit(folder, tmp_path / "parts", *flags)
    stopped = tmp_path / "parts/classify/version_0/checkpoints/last.ckpt"
    fit(folder, tmp_path / "parts", *flags, f"--ckpt_path={stopped}")
    resumed = torch.load(stopped)
    assert resumed["global_step"] == expected["global_step"]
    for weights in ("current_model_state", "state_dict"):
        for name, value in expected[weights].items():
            assert torch.equal(value, resumed[weights][name]), name


@pytest.mark.parametrize(
    "flags",
    [
        ["--network.pooling=attention", "--network.num_hops=2", "--network.cell=gru"],
        ["--network.directions=apart", "--network.convolution=3", "--network.characters=6"],
        ["--model.loss.class_weights=balanced", "--model.loss.focal_gamma=2"],
        ["--model.loss.class_weights=[1,2,1]", "--model.loss.label_smoothing=0.1"],
        ["--data.balanced=true", "--data.max_length=4", "--data.tokens_per_batch=30"],
        ["--data.tokenizer=word", "--network.vocab_size=20", "--data.lowercase=true"],
        ["--data.tokenizer=bpe", "--data.lowercase=true", "--data.subword_sampling=0.1"],
        ["--model.adversarial_norm=1", "--model.unfreeze_every=1"],
    ],
)
def test_every_option_runs(folder, fit, tmp_path, flags):
    cli = fit(folder, tmp_path, *flags, "--trainer.max_epochs=1")
    assert torch.isfinite(cli.trainer.callback_metrics["val_loss"])
    vocabulary = cli.datamodule.vocabulary
    for reader in cli.model.network.readers:
        if reader.characters is not None:
            pieces = vocabulary.pieces(range(vocabulary.vocab_size))
            assert torch.equal(reader.characters.spellings, spellings(pieces))


def test_the_table_says_whose_figures_are_whose(capsys):
    logits = torch.tensor([[2.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
    targets = torch.tensor([0, 1, 1])
    seen = Evaluation([0, 1, 2], logits, targets, label_scores(logits, targets))
    baseline = SimpleNamespace(scores=lambda texts: torch.tensor([[1.0, 0.0]] * 3))
    data = SimpleNamespace(labels=SimpleNamespace(names=["no", "yes"]), baseline=baseline)
    cli = SimpleNamespace(datamodule=data, _texts=lambda *_: ["a", "b", "c"])
    ClassifyCLI._print(cli, "title", "test", seen)
    shown = capsys.readouterr().out
    for row in (r"accuracy, %\W+66\.67\W+33\.33\W", r"│ no\W+1\W+0\W", r"│ yes\W+1\W+1\W"):
        assert re.search(row, shown), row


def test_several_labels_at_once(fit, tmp_path, capsys):
    texts = {"dog": ["animal"], "car": ["machine"], "a dog in a car": ["animal", "machine"]}
    texts["nothing"] = []
    rows = [{"text": text, "label": labels} for text, labels in texts.items()]
    data = tmp_path / "data"
    data.mkdir()
    for split, count in (("train", 60), ("validation", 2), ("test", 1)):
        lines = [json.dumps(row) for row in rows * count]
        (data / f"{split}.jsonl").write_text("\n".join(lines))
    flags = ["--network.labels=[animal,machine]", "--network.multi_label=true"]
    fit(data, tmp_path / "runs", *flags, "--network.vocab_size=18", "--trainer.max_epochs=12")
    best = tmp_path / "runs/classify/version_0/checkpoints/best.ckpt"
    classifier = TextClassifier.from_checkpoint(best)
    assert [each.label for each in classifier(list(texts))] == [
        "animal",
        "machine",
        "animal|machine",
        "",
    ]
    capsys.readouterr()
    tested = quiet("test", f"--ckpt_path={best}", "--top_losses=4")
    assert tested.model.evaluation.scores.accuracy == 1
    assert capsys.readouterr().out.count("animal|machine") == 2, "true and predicted"


def test_splits_with_columns_and_labels_of_their_own(folder, fit, tmp_path, capsys):
    numbers = {"negative": 0, "neutral": 1, "positive": 2}
    for name in ("validation", "test"):
        with (folder / f"{name}.csv").open() as file, (tmp_path / f"{name}.jsonl").open("w") as out:
            for row in csv.DictReader(file):
                record = {"sentence": row["text"], "score": float(numbers[row["label"]])}
                out.write(json.dumps(record) + "\n")
    mapping = '{"0": "bad", "1": null, "2": "good"}'
    own = [
        option
        for name in ("validation", "test")
        for option in (
            f"--data.{name}.dataset={tmp_path}/{name}.jsonl",
            f"--data.{name}.text=sentence",
            f"--data.{name}.label=score",
            f"--data.{name}.label_map={mapping}",
        )
    ]
    main = '{"negative": "bad", "positive": "good", "neutral": null}'
    flags = ["--network.labels=[bad,good]", f"--data.label_map={main}", *own]
    fit(folder, tmp_path / "runs", *flags)
    best = tmp_path / "runs/classify/version_0/checkpoints/best.ckpt"
    capsys.readouterr()
    cli = quiet("test", f"--ckpt_path={best}")
    with (folder / "test.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["label"] != "neutral"]
    found = TextClassifier.from_checkpoint(best)([row["text"] for row in rows])
    renamed = {"bad": "negative", "good": "positive"}
    right = sum(renamed[each.label] == row["label"] for each, row in zip(found, rows))
    assert cli.model.evaluation.scores.accuracy == pytest.approx(right / len(rows))
    assert f"{tmp_path}/test.jsonl" in "".join(capsys.readouterr().out.split())


@pytest.fixture(scope="module")
def language_models(folder, tmp_path_factory):
    """A forward and a backward one, a moment trained on the same text."""
    root = tmp_path_factory.mktemp("lm")
    paths = []
    for direction in ("forward", "backward"):
        LanguageModelCLI(
            [
                "fit",
                f"--data.dataset={folder}",
                "--network.vocab_size=30",
                "--network.embedding_size=16",
                "--network.hidden_size=20",
                "--data.batch_size=4",
                f"--data.direction={direction}",
                "--trainer.max_epochs=1",
                "--trainer.accelerator=cpu",
                "--trainer.enable_progress_bar=false",
                f"--trainer.default_root_dir={root / direction}",
            ]
        )
        paths.append(root / direction / "language_model/version_0/checkpoints/best.ckpt")
    return paths


def transfer(folder, root, *flags):
    """`fit` with the sizes of the language model."""
    return ClassifyCLI(
        [
            "fit",
            f"--data.dataset={folder}",
            f"--trainer.default_root_dir={root}",
            "--data.batch_size=16",
            "--trainer.accelerator=cpu",
            "--trainer.enable_progress_bar=false",
            "--trainer.max_epochs=3",
            *flags,
        ]
    )


def test_a_language_model_is_a_start_and_not_needed_after(folder, language_models, tmp_path):
    copy = tmp_path / "lm.ckpt"
    copy.write_bytes(language_models[0].read_bytes())
    cli = transfer(
        folder, tmp_path, f"--model.pretrained={copy}", "--model.optimization.learning_rate=1e-9"
    )
    assert cli.model.network.arguments["hidden_size"] == 20
    assert cli.model.network.arguments["directions"] == "forward"
    source = torch.load(copy, weights_only=True)["state_dict"]["network.decoder.embedding.weight"]
    copy.unlink()
    best = tmp_path / "classify/version_0/checkpoints/best.ckpt"
    network = TextClassifier.from_checkpoint(best).network
    torch.testing.assert_close(network.reader.encoder.embedding.weight, source)
    quiet("test", f"--ckpt_path={best}")
    last = best.with_name("last.ckpt")
    transfer(
        folder,
        tmp_path,
        f"--ckpt_path={last}",
        f"--model.pretrained={copy}",
        "--trainer.max_epochs=4",
    )


def test_from_a_fresh_project_to_a_fine_tuned_classifier_in_two_commands(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    quick = [
        "--trainer.accelerator=cpu",
        "--trainer.enable_progress_bar=false",
        "--trainer.max_epochs=1",
        "--trainer.limit_train_batches=3",
    ]
    LanguageModelCLI(["fit", *quick])
    start = "--model.pretrained=runs/language_model/version_0/checkpoints/best.ckpt"
    cli = ClassifyCLI(["fit", start, *quick])
    assert cli.model.network.arguments["vocab_size"] == 2000
    assert "negative" in capsys.readouterr().out


def test_a_second_stack_needs_a_second_language_model(folder, language_models, tmp_path):
    flags = [f"--model.pretrained={language_models[0]}", "--network.directions=apart"]
    with pytest.raises(InputError, match=r"give --model\.pretrained_backward"):
        transfer(folder, tmp_path, *flags)


@pytest.mark.parametrize("text", ["it is n't good", "it isn’t good", "it isn't good", "No good"])
def test_negations_are_seen(text):
    assert _NEGATION.search(text)
    assert not _NEGATION.search("a good tent at noon")


def test_two_language_models_read_from_both_ends(folder, language_models, tmp_path):
    forward, backward = language_models
    flags = [
        f"--model.pretrained={forward}",
        f"--model.pretrained_backward={backward}",
        "--model.unfreeze_every=1",
        "--model.layer_decay=0.4",
    ]
    cli = transfer(folder, tmp_path, *flags)
    assert cli.model.network.arguments["directions"] == "apart"
    scales = [group["scale"] for group in cli.trainer.optimizers[0].param_groups]
    assert scales == pytest.approx([0.4**depth for depth in range(4)])
    rates = [group["lr"] for group in cli.trainer.optimizers[0].param_groups]
    assert rates == pytest.approx([rates[0] * scale for scale in scales])
    trained = {id(p) for group in cli.trainer.optimizers[0].param_groups for p in group["params"]}
    network = cli.model.network
    embeddings = {id(reader.encoder.embedding.weight) for reader in network.readers}
    assert embeddings <= trained
    assert all(each.requires_grad for each in network.parameters() if id(each) in trained)
    learnt = {name: value.clone() for name, value in network.state_dict().items()}
    cli.model.setup("fit")  # a second training goes on from there
    assert all(torch.equal(learnt[name], value) for name, value in network.state_dict().items())
    # Three epochs: head, then the upper layer, then the lower one; the embeddings never learned.
    for reader, path in zip(network.readers, language_models):
        source = torch.load(path, weights_only=True)["state_dict"]
        start = source["network.decoder.embedding.weight"]
        torch.testing.assert_close(reader.encoder.embedding.weight, start)
        for part, layer in zip(("lower", "upper"), reader.encoder.layers):
            name = "weight_ih_l0"
            begun = source[f"network.decoder.{part}.layers.0.{name}"]
            learned = dict(layer.forwards.layers[0].named_parameters())[name]
            assert not torch.equal(learned, begun), part
    with pytest.raises(InputError, match="reads backward, but a model that reads forward"):
        transfer(folder, tmp_path, f"--model.pretrained={backward}")


def test_sizes_that_contradict_the_language_model_are_named(folder, language_models, tmp_path):
    with pytest.raises(InputError, match="hidden_size is 20 there and 32 here"):
        transfer(
            folder,
            tmp_path,
            f"--model.pretrained={language_models[0]}",
            "--network.hidden_size=32",
        )
    with pytest.raises(InputError, match=r"vocab_size is \d+ there and 90 here"):
        transfer(
            folder,
            tmp_path,
            f"--model.pretrained={language_models[0]}",
            "--network.vocab_size=90",
            "--network.characters=6",
        )


def test_word_vectors_are_a_start(folder, fit, tmp_path, capsys):
    file = tmp_path / "vectors.txt"
    file.write_text("".join(f"{word} {value} 0 0 0\n" for word, value in (("good", 1), ("bad", 2))))
    flags = [f"--model.vectors={file}", "--data.tokenizer=word", "--network.vocab_size=20"]
    flags += ["--network.embedding_size=4", "--model.optimization.learning_rate=1e-9"]
    cli = fit(folder, tmp_path, *flags, "--trainer.max_epochs=1")
    ids = cli.datamodule.vocabulary.encode("good bad")
    weights = cli.model.network.reader.encoder.embedding.weight[ids]
    torch.testing.assert_close(weights[:, 0], torch.tensor([1.0, 2.0]))
    with pytest.raises(InputError, match=r"vectors of 4 numbers, but network\.embedding_size"):
        fit(folder, tmp_path, *flags[:3])
    with pytest.raises(InputError, match=r"--data\.tokenizer word"):
        fit(folder, tmp_path, flags[0])


def test_a_given_list_of_words_is_the_vocabulary(folder, fit, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("<unk>\n<pad>\nthe\nis\nnot\ngood\n")
    flags = [f"--data.words={words}", "--data.tokenizer=word", "--trainer.max_epochs=1"]
    cli = fit(folder, tmp_path, *flags, "--network.vocab_size=8")
    vocabulary = cli.datamodule.vocabulary
    assert vocabulary.pieces(range(4, 8)) == ["the", "is", "not", "good"]
    with pytest.raises(InputError, match=r"has 4 words: .*--network\.vocab_size 8"):
        fit(folder, tmp_path, *flags)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--network.labels=[a,b]"], "labels .* are none of --network.labels"),
        (['--data.label_map={"neutral": "meh"}'], "labels 'meh'"),
        (["--data.label=stars"], "no column 'stars'; there are text, label"),
        (
            [
                "--data.test.dataset=nowhere.csv",
                '--data.label_map={"positive": "negative", "neutral": "negative"}',
            ],
            "all training texts are 'negative'",
        ),
        (["--data.max_length=0"], "max_length 0"),
        (["--data.subword_sampling=-1"], "subword_sampling -1"),
        (["--data.tokenizer=bpe", "--data.subword_sampling=1.5"], "subword_sampling 1.5"),
        (
            ["--data.tokenizer=word", "--network.vocab_size=20", "--data.subword_sampling=0.5"],
            "the vocabulary has whole words",
        ),
        (["--model.layer_decay=2"], "layer_decay 2"),
        (["--model.adversarial_norm=-1"], "adversarial_norm -1"),
        (["--model.pretrained_backward=x.ckpt"], "give both"),
        (["--model.vectors=vectors.txt"], "need whole words: give --data.tokenizer word"),
        (["--model.pretrained=x.ckpt"], "no checkpoint at x.ckpt"),
        (["--model.loss.class_weights=[1,2]"], "2 weights for 3 labels"),
        (["--model.loss.class_weights=balanced", "--data.balanced=true"], "rare labels twice"),
        (["--network.num_hops=2"], "num_hops 2: pooling concat has none"),
    ],
)
def test_wrong_options_are_one_clear_line(folder, fit, tmp_path, flags, message):
    with pytest.raises(InputError, match=message) as error:
        fit(folder, tmp_path, *flags)
    assert "\n" not in str(error.value)


def test_texts_in_two_splits_are_counted(folder, fit, tmp_path, caplog):
    data, said = tmp_path / "data", "3 of 3 validation texts are in train, too"
    shutil.copytree(folder, data)
    train = (folder / "train.csv").read_text().splitlines()
    (data / "validation.csv").write_text("\n".join(train[:4]))
    shutil.copytree(data, tmp_path / "others")
    with caplog.at_level("INFO", logger="lightning.pytorch.utilities.rank_zero"):
        cli = fit(data, tmp_path / "runs", "--trainer.max_epochs=1")
        assert said in caplog.text
        best = cli.trainer.checkpoint_callback.best_model_path
        caplog.clear()
        quiet("validate", f"--ckpt_path={best}")
        assert said in caplog.text
        caplog.clear()
        quiet("validate", f"--ckpt_path={best}", f"--data.dataset={tmp_path}/others")
        assert said not in caplog.text, "it was not trained on those"


def test_empty_texts_are_counted(folder, fit, tmp_path, caplog):
    data = tmp_path / "data"
    shutil.copytree(folder, data)
    with (data / "train.csv").open("a") as file:
        file.write("  ,positive\n \t,negative\n")
    with (data / "test.csv").open("a") as file:
        file.write(" ,positive\n")
    with caplog.at_level("INFO", logger="lightning.pytorch.utilities.rank_zero"):
        cli = fit(data, tmp_path / "runs", "--trainer.max_epochs=1")
        assert re.search(r"warning: 2 of \d+ train texts are empty", caplog.text)
        assert "validation texts are empty" not in caplog.text
        quiet("test", f"--ckpt_path={cli.trainer.checkpoint_callback.best_model_path}")
        assert re.search(r"warning: 1 of \d+ test texts are empty", caplog.text)


@pytest.mark.slow
def test_unfreezing_over_processes_names_its_strategy(folder, small, tmp_path):
    command = [
        *(sys.executable, "-m", "nlp_rnn.tasks.classify", "fit", *small),
        *(f"--data.dataset={folder}", f"--trainer.default_root_dir={tmp_path}"),
        *("--model.unfreeze_every=1", "--trainer.strategy=ddp", "--trainer.devices=1"),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    found = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert found.returncode == 2
    assert "ddp_find_unused_parameters_true" in found.stderr.splitlines()[-1]


@pytest.mark.slow
def test_two_processes_train_and_score_as_one(folder, small, tmp_path):
    flags = [
        *small,
        f"--data.dataset={folder}",
        "--trainer.max_epochs=1",
        "--model.optimization.learning_rate=0.002",  # Adam's first updates magnify rounding
        *(f"--network.{name}=0" for name in ("embedding_dropout", "head_dropout")),
        "--model.adversarial_norm=0.2",
    ]
    two = ["--trainer.strategy=ddp", "--trainer.devices=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    last = "classify/version_0/checkpoints/last.ckpt"

    def run(*args):
        command = [sys.executable, "-m", "nlp_rnn.tasks.classify", *args]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True)

    for name, extra in (("one", []), ("two", two)):
        run("fit", *flags, *extra, f"--trainer.default_root_dir={tmp_path / name}")
    expected, found = torch.load(tmp_path / "one" / last), torch.load(tmp_path / "two" / last)
    assert expected["global_step"] == found["global_step"]
    for name, value in expected["current_model_state"].items():
        torch.testing.assert_close(found["current_model_state"][name], value, rtol=0, atol=1e-5)
    checkpoint = f"--ckpt_path={tmp_path / 'one' / last}"
    alone, both = (
        run("test", checkpoint, "--trainer.accelerator=cpu", *extra).stdout for extra in ([], two)
    )
    assert "macro recall" in alone
    assert alone == both
