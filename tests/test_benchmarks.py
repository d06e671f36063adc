"""The benchmarks still run and count right; what they time is nobody's business here."""

import logging
import mmap
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[1]))  # a script folder, not part of the package

from benchmarks import (
    decode_translation,
    generate,
    macs,
    memory,
    peers_classifier,
    peers_translation,
    timing,
    train_classifier,
    train_language_model,
    train_translation,
)
from benchmarks.corpus import Batch, Corpus, collate, load_corpus, load_test, training_batches
from nlp_rnn.data.tokenizer import EOS, Tokenizer
from nlp_rnn.data.words import WordVocabulary
from nlp_rnn.inference import BeamSearch, TextGenerator, Translator
from nlp_rnn.models.ensemble import Ensemble
from nlp_rnn.models.language_model import LanguageModel
from nlp_rnn.models.seq2seq import Seq2Seq

WORDS = "the cat dog sees a house and runs to that old tree".split()  # noqa: SIM905
TEXTS = [" ".join(WORDS[i : i + 2 + i % 5]) for i in range(len(WORDS) - 2)]
linux = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's /proc")
TINY = {"vocab_size": 60, "embedding_size": 8, "hidden_size": 8}


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    tokenizer = Tokenizer.train(TEXTS, vocab_size=30, model_type="bpe")
    ids = [[*each, EOS] for each in tokenizer.encode_batch(TEXTS)]
    return Corpus(tokenizer, list(zip(ids, reversed(ids))))


@pytest.fixture(autouse=True)
def _small_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "SIZES", (8,))


@pytest.fixture(autouse=True)
def _as_loud_as_before() -> Iterator[None]:
    """A benchmark makes Lightning quiet, which is for its own process alone."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    yield
    logger.setLevel(level)


def batches(corpus: Corpus, number: int) -> list[Batch]:
    return list(islice(training_batches(corpus.train, tokens_per_batch=40), number))


def test_load_corpus_reads_a_folder(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for side in ("en", "de"):
            (tmp_path / f"{split}.{side}").write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    loaded = load_corpus(str(tmp_path), vocab_size=25)
    assert load_test(str(tmp_path)) == TEXTS
    assert [loaded.tokenizer.decode(target) for _, target in loaded.train] == TEXTS


def test_batches_go_on_and_count_real_tokens(corpus: Corpus) -> None:
    epoch = sum(len(target) for _, target in corpus.train)
    seen = 0
    for batch in training_batches(corpus.train, tokens_per_batch=40):
        seen += int(batch.target_lengths.sum())
        if seen >= 2 * epoch:
            break
    assert seen == 2 * epoch


@pytest.mark.parametrize("attention", ["general", "additive", "multi_head"])
@pytest.mark.parametrize("decoder", ["parallel", "input_feeding"])
def test_macs_agree_with_what_torch_counts(attention: str, decoder: str) -> None:
    torch.manual_seed(0)
    network = Seq2Seq(**TINY, attention=attention, decoder=decoder).eval()
    batch = collate([([5] * 7 + [EOS], [6] * 7 + [EOS])] * 3)  # fills its padded shape
    assert batch.source.size(1) == 8
    assert batch.target[:, 1:].size(1) == 8
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        train_translation.at_once(network, batch)
    assert counter.get_total_flops() == 2 * macs.batch_macs(network, [batch])


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_the_loop_computes_what_the_parallel_decoder_computes(corpus: Corpus, cell: str) -> None:
    network = Seq2Seq(**TINY, cell=cell)
    train_translation.check_equal(network, batches(corpus, 1)[0])
    with torch.no_grad():
        network.decoder.lower.layers[0].weight_hh_l0.fill_(float("nan"))
    with pytest.raises(AssertionError):
        train_translation.check_equal(network, batches(corpus, 1)[0])


def test_train_translation(corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    seconds = train_translation.measure(
        TINY, batches(corpus, 2), ["highest", "medium"], sample=9, rounds=2
    )
    assert len(seconds) == 10
    assert all(len(times) == 2 and min(times) > 0 for times in seconds.values())
    printed = capsys.readouterr().out
    assert "parallel / loop, medium: " in printed
    assert "sampled / parallel, medium: " in printed
    assert "best of equal work (sampled" not in printed


def test_training_updates_every_variant(corpus: Corpus) -> None:
    for variant in train_translation.variants(TINY, ["highest"]).values():
        before = [each.clone() for each in variant.network.parameters() if each.requires_grad]
        train_translation.update(variant, batches(corpus, 1)[0])
        after = [each for each in variant.network.parameters() if each.requires_grad]
        assert not any(torch.equal(old, new) for old, new in zip(before, after))


def test_decode_translation(corpus: Corpus) -> None:
    network = Seq2Seq(**{**TINY, "vocab_size": 30})
    translator = Translator([network], corpus.tokenizer, corpus.tokenizer)
    searches: dict[str, BeamSearch] = {"greedy": decode_translation.AsLongAsSource(beam_size=1)}
    seconds = decode_translation.measure(
        {"highest": translator}, TEXTS, alone=3, searches=searches, rounds=2
    )
    assert sorted(seconds) == ["greedy, highest, 1", "greedy, highest, 64"]
    assert all(len(times) == 2 and min(times) > 0 for times in seconds.values())


@pytest.mark.parametrize("beam_size", [1, 3])
def test_an_untrained_network_writes_as_much_as_it_reads(beam_size: int) -> None:
    network = Seq2Seq(**TINY).eval()
    lengths = torch.tensor([4, 1, 3])
    state, memory = Ensemble([network]).encode(torch.full((3, 4), 5), lengths)
    search = decode_translation.AsLongAsSource(beam_size=beam_size)
    state = tuple(part.unsqueeze(1) for part in state)
    found = search.search(Ensemble([network]), state, memory, lengths, 0)
    for hypotheses, length in zip(found, lengths.tolist()):
        assert len(hypotheses[0].tokens) in (length - 1, length)  # the end token is left out


@linux
def test_memory(corpus: Corpus) -> None:
    variant = train_translation.variants(TINY, ["highest"])["parallel, highest"]
    sizes = memory.measure(variant, batches(corpus, 4), every=1)
    assert list(sizes) == [1, 2, 3, 4]
    assert min(sizes.values()) > 10
    assert memory.growth(dict(enumerate([5.0, 10, 20, 20, 21, 22], 1))) == pytest.approx(0.1)


@linux
def test_resident_memory_is_that_of_this_process() -> None:
    before = memory.resident()
    with mmap.mmap(-1, 64 * 2**20) as block:  # a tensor may be given memory that was freed before
        for page in range(0, len(block), mmap.PAGESIZE):
            block[page] = 1
        assert memory.resident() - before == pytest.approx(64, abs=8)


def test_precision_is_put_back() -> None:
    before = torch.get_float32_matmul_precision()
    for name in timing.PRECISIONS:
        with timing.precision(name):
            assert torch.is_autocast_enabled("cpu") == (name == "bf16")
            assert torch.get_float32_matmul_precision() == name.replace("bf16", "highest")
    assert torch.get_float32_matmul_precision() == before


def test_variants_take_turns() -> None:
    order: list[str] = []
    seconds = timing.take_turns(
        {"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=2
    )
    assert order == ["a", "b"] * 3
    assert {name: len(times) for name, times in seconds.items()} == {"a": 2, "b": 2}
    assert timing.ratio([2.0, 4.0, 100.0], [1.0, 2.0, 5.0]) == 2.0


def test_peers_read_the_same_subwords(corpus: Corpus, tmp_path: Path) -> None:
    peers_translation.write_corpus(corpus, TEXTS, tmp_path)
    vocabulary = (tmp_path / "vocabulary").read_text(encoding="utf-8").splitlines()
    assert len(vocabulary) == 30 - 4
    lines = (tmp_path / "train.target").read_text(encoding="utf-8").splitlines()
    assert [len(line.split(" ")) + 1 for line in lines] == [
        len(target) for _, target in corpus.train
    ]
    assert set(" ".join(lines).split(" ")) <= set(vocabulary)


def test_reports_of_the_peers_are_read() -> None:
    log = "\n".join(
        [
            "[INFO] Step  1/    3; acc: 0.9; ppl: 976.4; xent: 6.9; lr: 0.00100; sents:      64; "
            "bsz:  256/ 320/64;  72/ 91 tok/s;      4 sec;",
            "[INFO] Step  2/    3; acc: 0.9; ppl: 976.4; xent: 6.9; lr: 0.00100; sents:      64; "
            "bsz:  256/ 300/64;  72/100 tok/s;      4 sec;",
            "[INFO] Step  3/    3; acc: 0.9; ppl: 976.4; xent: 6.9; aux: 0.000; lr: 1.00e-03; "
            "sents:      64; bsz:  256/ 100/64; 945/200 tok/s;      4 sec;",
        ]
    )
    assert peers_translation.training_rate(log) == pytest.approx(400 / (3 + 0.5))
    assert peers_translation.seconds("Step 0 time (s): 0.25\n", "Step 0 time (s)") == 0.25


def test_peers_in_turn(
    corpus: Corpus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With a stand-in for the peer, which is not installed here, and our own training for real."""
    job = peers_translation.Job(corpus, TEXTS, tmp_path, steps=10, threads=1)
    fake = peers_translation.Result(1e-3, {"greedy": (1e-3, 5.0), "beam 5": (1e-3, 5.0)})
    monkeypatch.setattr(peers_translation, "opennmt", lambda python, job, level: fake)
    monkeypatch.setattr(
        peers_translation, "OURS", {"tiny": peers_translation.Ours({"hidden_size": 8}, sample=9)}
    )
    results = peers_translation.measure(job, {"OpenNMT-py": "python"}, ["highest"], rounds=1)
    ((mine,),) = (runs for (tool, _), runs in results.items() if tool == "tiny")
    assert mine.training > 1
    assert set(mine.decoding) == {"greedy", "beam 5"}
    peers_translation.report(results, {"OpenNMT-py": 1})
    assert "x OpenNMT-py highest" in capsys.readouterr().out


def test_peers_report_divides_by_the_fastest_peer(capsys: pytest.CaptureFixture[str]) -> None:
    def result(rate: float) -> peers_translation.Result:
        return peers_translation.Result(rate, {"greedy": (rate, 5.0), "beam 5": (rate, 5.0)})

    results = {
        ("OpenNMT-py", "medium"): [result(400.0)],
        ("OpenNMT-py", "highest"): [result(100.0)],
        ("one layer", "highest"): [result(300.0)],
    }
    peers_translation.report(results, {"OpenNMT-py": 1, "one layer": 1})
    training = capsys.readouterr().out.split("greedy")[0]
    assert "x OpenNMT-py highest" in training
    ours = training.splitlines()[4].split()
    assert ours[:6] == ["one", "layer", "highest", "300", "3", "0.75"]


def test_peers_output_is_counted_as_segmented_anew(corpus: Corpus, tmp_path: Path) -> None:
    job = peers_translation.Job(corpus, TEXTS, tmp_path, steps=10, threads=1)
    spelled = [" ".join("\u2581" + text.replace(" ", "\u2581")) for text in TEXTS]
    (tmp_path / "output").write_text("\n".join(spelled) + "\n", encoding="utf-8")
    rate, tokens = peers_translation.written(job, 2.0)
    assert rate == len(TEXTS) / 2
    assert tokens == sum(map(len, corpus.tokenizer.encode_batch(TEXTS))) / len(TEXTS)


@pytest.mark.parametrize(
    ("script", "options", "message"),
    [
        (train_translation, ["--dataset", "nowhere/at-all.csv"], "nowhere/at-all.csv"),
        (train_translation, ["--precisions", "bf16"], "highest or medium"),
        (train_translation, ["--peer-shape", "--tokens-per-batch", "9"], "--peer-shape"),
        (train_translation, ["--rounds", "0"], "less than 1"),
        (decode_translation, ["--checkpoint", "nowhere.ckpt"], "nowhere.ckpt"),
        (train_language_model, ["--column", "words"], "words"),
        (peers_translation, [], "--onmt"),
        (peers_translation, ["--onmt", "nowhere/python"], "nowhere/python"),
    ],
)
def test_a_mistake_is_one_line(
    script: ModuleType,
    options: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(sys, "argv", ["benchmark", *options])
    monkeypatch.setattr(timing, "tune_cpu", lambda: None)  # which is for the whole process
    with pytest.raises(SystemExit) as stopped:
        timing.run_script(script.main)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_fastai_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmark"])
    monkeypatch.setattr(peers_classifier, "find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        timing.run_script(peers_classifier.main)
    assert "fastai is not installed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("script", "options", "shown"),
    [
        (
            train_language_model,
            ["--size", "8", "--streams", "4", "--window", "6", "--updates", "2", "--rounds", "1"],
            "weights dropped / without",
        ),
        pytest.param(
            memory,
            ["--batches", "20", "--tokens-per-batch", "60"],
            "growth from batch",
            marks=linux,
        ),
        (
            train_classifier,
            ["--length", "6", "--hidden-size", "8", "--batches", "1", "--rounds", "1"],
            "x alone",
        ),
    ],
)
def test_scripts_run_as_commands(
    script: ModuleType,
    options: list[str],
    shown: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmark", "--threads", "1", *options])
    monkeypatch.setattr(timing, "tune_cpu", lambda: None)
    timing.run_script(script.main)
    assert shown in capsys.readouterr().out


def test_numbers_are_written_out() -> None:
    assert timing._number(12345.6) == "12,346"
    assert timing._number(0.123456) == "0.1235"


def test_train_language_model(capsys: pytest.CaptureFixture[str]) -> None:
    vocab_size, windows = train_language_model.load("topics", "text", streams=4, window=6)
    sizes = (vocab_size, 8, 4)
    variants = {
        "example, highest": train_language_model.example(*sizes, "highest"),
        "ours": train_language_model.ours(*sizes, "highest", bf16=False, weight_dropout=0.2),
        "sampled": train_language_model.ours(*sizes, "highest", bf16=False, sample=9),
    }
    seconds = train_language_model.measure(variants, windows[:40], updates=3, rounds=2)
    assert all(len(times) == 2 for times in seconds.values())
    assert "loss at the end" in capsys.readouterr().out


def test_ours_and_the_example_are_one_model_without_dropout() -> None:
    vocab_size, (window, *_) = train_language_model.load("topics", "text", streams=4, window=6)
    ours = train_language_model.ours(vocab_size, 8, 4, "highest", bf16=False)
    example = train_language_model.example(vocab_size, 8, 4, "highest")
    assert isinstance(example.network, train_language_model.Example)
    decoder = ours.network.eval().decoder
    with torch.no_grad():
        example.network.eval().embedding.weight.copy_(decoder.embedding.weight)
        for number, layer in enumerate([*decoder.lower.layers, *decoder.upper.layers]):
            for name, value in layer.named_parameters():
                getattr(example.network.rnn, name.replace("l0", f"l{number}")).copy_(value)
    expected, _ = example.loss(window, example.start)
    torch.testing.assert_close(ours.loss(window, ours.start)[0], expected)


def test_a_softmax_in_bf16_learns_what_one_in_fp32_learns() -> None:
    vocab_size, windows = train_language_model.load("topics", "text", streams=4, window=6)
    losses = []
    for bf16 in (False, True):
        torch.manual_seed(0)
        ours = train_language_model.ours(vocab_size, 8, 4, "highest", bf16=bf16)
        losses.append(torch.tensor(train_language_model.train(ours, windows[:1] * 12)))
    assert losses[0][-1] < losses[0][0] - 0.5
    torch.testing.assert_close(losses[1], losses[0], rtol=0.02, atol=0.0)


def test_generate(capsys: pytest.CaptureFixture[str]) -> None:
    words = WordVocabulary([f"word{number}" for number in range(20)])
    network = LanguageModel(vocab_size=24, embedding_size=8, hidden_size=8).eval()
    speeds = generate.measure(TextGenerator(network, words), [3, 9], rounds=1, batch_size=2)
    assert set(speeds) == {3, 9}
    assert "9 tokens / 3 tokens" in capsys.readouterr().out


def test_packed_and_padded_classifiers_are_one(capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    ours = train_classifier.Classifier(vocab_size=train_classifier.VOCAB_SIZE, hidden_size=8)
    train_classifier.check_equal(ours, train_classifier.Packed(ours))
    data = train_classifier.batches(3, length=10, spread=0.5)
    assert {int(size) for _, lengths, _ in data for size in lengths} == set(range(5, 16))
    seconds = train_classifier.measure_training(8, ["highest"], length=6, number=1, rounds=1)
    assert len(seconds) == 2 * len(train_classifier.SPREADS)
    assert set(train_classifier.measure_inference(8, length=6, rounds=1)) == {"batches", "alone"}
    shown = capsys.readouterr().out
    assert "x packed" in shown
    assert "x alone" in shown


def test_peers_classifier(capsys: pytest.CaptureFixture[str]) -> None:
    dropouts = {"embed_p": 0.1, "input_p": 0.4, "hidden_p": 0.3, "weight_p": 0.4}
    network = peers_classifier.ours(8, dropouts, weight_dropout=dropouts["weight_p"])
    data = train_classifier.batches(1, length=6, spread=0.25)
    before = [each.detach().clone() for each in network.parameters()]
    seconds = peers_classifier.measure({"ours": (network, "highest", data)}, rounds=1)
    assert len(seconds["ours"]) == 1
    assert any(not torch.equal(*each) for each in zip(before, network.parameters()))
    assert "texts/s" in capsys.readouterr().out


def test_fastai_pads_what_we_pad() -> None:
    pytest.importorskip("fastai")
    data = train_classifier.batches(1, length=90, spread=0.9)
    ((ours, lengths, _),) = data
    ((theirs, _, _),) = peers_classifier.its_padding(data)
    for row, its_row, size in zip(ours, theirs, lengths.tolist()):
        assert its_row[its_row != 1].tolist() == row[:size].tolist()
