import csv
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from nlp_rnn import TextClassifier, Translator, __version__
from nlp_rnn.cli import generate, main
from nlp_rnn.cli.translate import BEAM_OPTIONS, COMMON_OPTIONS, SAMPLING_OPTIONS
from nlp_rnn.data.tokenizer import Tokenizer
from nlp_rnn.data.words import WordVocabulary
from nlp_rnn.errors import InputError
from nlp_rnn.inference import (
    Alignment,
    BeamSearch,
    Sampling,
    TextBeamSearch,
    TextGenerator,
    TextSampling,
)
from nlp_rnn.models.classifier import Classifier
from nlp_rnn.models.language_model import LanguageModel

COMMAND = [sys.executable, "-m", "nlp_rnn.cli"]
TEXT = ["red dog", "", "small old black cat", "  \t", "car", "white house tree man"]
PATIENT = 120  # seconds until a test gives up on a busy machine


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture(scope="module")
def translator(checkpoint):
    return Translator.from_checkpoint(checkpoint)


@pytest.fixture
def run(capsys):
    """Runs the command in this process: exit code, lines of output, lines of errors."""

    def run(*args):
        code = main([str(each) for each in args])
        out, err = capsys.readouterr()
        return code, out.splitlines(), err.splitlines()

    return run


def piped(*args, stdin=b""):
    return subprocess.run(
        [*COMMAND, *map(str, args)], input=stdin, capture_output=True, timeout=PATIENT, check=False
    )


@contextmanager
def started(*args):
    """A process to talk with; it is ended in time whatever happens."""
    with subprocess.Popen(
        [*COMMAND, *map(str, args)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Processes in the background of a shell inherit that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        watchdog = threading.Timer(PATIENT, process.kill)
        watchdog.start()
        try:
            yield process
        finally:
            watchdog.cancel()
            process.kill()


def feed(process, text):
    process.stdin.write(text.encode())
    process.stdin.flush()


def test_a_line_out_for_each_line_in(checkpoint, translator, write):
    source = write("in.txt", "\r\n".join(TEXT))
    result = piped("translate", checkpoint, stdin=source.read_bytes())
    assert result.stderr == b""
    assert result.stdout.decode() == "".join(f"{line}\n" for line in translator(TEXT))
    assert result.stdout.splitlines()[1] == result.stdout.splitlines()[3] == b""


def test_files_in_and_a_file_out(checkpoint, translator, write, run, tmp_path):
    first, second = write("a.txt", "red dog\ncar"), write("b.txt", "\ncat\n")
    output = tmp_path / "out.txt"
    result = run("translate", checkpoint, "--input", first, second, "--output", output)
    assert result == (0, [], [])
    assert output.read_text().split("\n") == [*translator(["red dog", "car", "", "cat"]), ""]
    twice = run("translate", checkpoint, "--input", first, "--input", second)
    assert twice == (0, translator(["red dog", "car", "", "cat"]), [])
    code, _, errors = run("translate", checkpoint, "--input", first, "--output", output)
    assert (code, errors) == (2, [f"error: {output} exists: name a new one with --output"])


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_batch_size_changes_nothing(checkpoint, translator, write, run, batch_size):
    texts = [" ".join(random.Random(n).choices(["red", "cat", "tree"], k=n % 5)) for n in range(40)]
    source = write("in.txt", "\n".join(texts) + "\n")
    result = run("translate", checkpoint, "--input", source, "--batch-size", batch_size)
    assert result == (0, translator(texts), [])


def test_alignments_need_attention(make_network, save_checkpoint, tmp_path, write, run):
    plain = save_checkpoint(tmp_path / "plain.ckpt", make_network(attention="none"))
    source, output = write("in.txt", "red dog\n"), tmp_path / "out.txt"
    code, _, (line,) = run(
        "translate", plain, "--input", source, "--output", output, "--alignments"
    )
    assert code == 2
    assert "attention 'none'" in line
    assert not output.exists()


def test_the_cpu_is_tuned_before_a_model_is_opened(checkpoint, write, run, monkeypatch):
    tuned = []
    monkeypatch.setattr("nlp_rnn.cpu.tune_cpu", lambda: tuned.append(True))
    assert run("translate", checkpoint, "--input", write("in.txt", "red dog\n"))[0] == 0
    assert tuned


def test_a_lack_of_memory_is_one_line(checkpoint, write, run, monkeypatch):
    def translate(self, texts, search, *, batch_size):
        raise RuntimeError(reason)

    monkeypatch.setattr(Translator, "translate", translate)
    command = ["translate", checkpoint, "--input", write("in.txt", "red dog\n")]
    reason = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 12 bytes"
    code, _, (line,) = run(*command)
    assert code == 2
    assert line.startswith("error: not enough memory: give")
    reason = "a defect of ours"
    with pytest.raises(RuntimeError, match=reason):
        run(*command)


@pytest.mark.parametrize("emulated", [True, False])
def test_bf16_by_emulation_is_warned_of(checkpoint, write, run, monkeypatch, emulated):
    monkeypatch.setattr("nlp_rnn.cpu.emulates_bf16", lambda: emulated)
    source = write("in.txt", "red dog\n")
    code, (line,), errors = run("translate", checkpoint, "--input", source, "--precision", "bf16")
    assert code == 0
    assert line.isupper()
    assert ["no instructions for bf16" in each for each in errors] == [True] * emulated


def test_scores_and_alignments_are_columns(checkpoint, translator, write, run):
    source = write("in.txt", "red dog\n\n")
    _, lines, _ = run("translate", checkpoint, "--input", source, "--scores", "--alignments")
    text, score, pairs = lines[0].split("\t")
    best = translator.translate(["red dog"])[0][0]
    assert (text, float(score)) == (best.text, pytest.approx(best.score, abs=1e-4))
    alignment = translator.align("red dog", best.text)
    for pair in pairs.split():
        i, j = map(int, pair.split("-"))
        assert alignment.weights[j].argmax() == i
        assert i < len(alignment.source) - 1
        assert j < len(alignment.target) - 1
    assert pairs
    assert lines[1] == "\t0.0000\t"
    _, lines, _ = run("translate", checkpoint, "--input", source, "--alignments")
    assert lines == [f"{text}\t{pairs}", "\t"]


def test_what_looks_at_the_end_mark_is_not_aligned(checkpoint, write, run, monkeypatch):
    weights = torch.tensor([[0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.9, 0.0, 0.1], [1.0, 0.0, 0.0]])
    found = Alignment(["▁a", "▁b", "</s>"], ["▁x", "▁y", "▁z", "</s>"], weights)
    monkeypatch.setattr(Translator, "alignments", lambda *given, batch_size: [found])
    source = write("in.txt", "red dog\n")
    _, (line,), _ = run("translate", checkpoint, "--input", source, "--alignments")
    assert line.split("\t")[1] == "1-0 0-2"


def test_nbest_lines_are_numbered(checkpoint, translator, write, run):
    source = write("in.txt", "red dog\n\ncar\n")
    _, lines, _ = run("translate", checkpoint, "--input", source, "--nbest", 2, "--beam-size", 4)
    search = BeamSearch(beam_size=4, nbest=2)
    expected = [
        f"{number} ||| {each.text} ||| {each.score:.4f}"
        for number, row in enumerate(translator.translate(["red dog", "", "car"], search))
        for each in row
    ]
    assert lines == expected
    assert len(lines) == 5


def test_translate_says_how_much_it_does_not_know(checkpoint, write, run):
    code, lines, errors = run("translate", checkpoint, "--input", write("in.txt", "red Ω\ndog"))
    assert (code, len(lines), len(errors)) == (0, 2, 1)
    assert errors[0].startswith("warning: 1 of ")


def test_options_reach_the_search(checkpoint, translator, write, run):
    source = write("in.txt", "\n".join(TEXT))
    options = {"beam-size": 2, "length-penalty": 0.2, "max-length-ratio": 4.5}
    options |= {"min-length-ratio": 4.0, "no-repeat-ngram-size": 1, "repetition-penalty": 1.5}
    flags = [each for name, value in options.items() for each in (f"--{name}", value)]
    search = BeamSearch(**{name.replace("-", "_"): value for name, value in options.items()})
    _, lines, _ = run("translate", checkpoint, "--input", source, *flags)
    assert lines == translator(TEXT, search)
    assert lines != translator(TEXT)


def test_sampling_follows_its_seed_however_the_input_flows(checkpoint, translator, write, run):
    texts = ["red dog"] * 12
    source = write("in.txt", "\n".join(texts))
    options = ["--sample", "--seed", 7, "--temperature", 1.5, "--batch-size", 4, "--top-k", 40]
    _, lines, _ = run("translate", checkpoint, "--input", source, *options)
    result = piped("translate", checkpoint, *options, stdin=source.read_bytes())
    assert result.stdout.decode().splitlines() == lines
    assert lines[:4] == translator(texts[:4], Sampling(seed=7, temperature=1.5, top_k=40))
    assert lines[:4] != lines[4:8], "every batch draws anew"
    assert run("translate", checkpoint, "--input", source, *options, "--seed", 8)[1] != lines


def test_several_checkpoints_are_an_ensemble(
    checkpoint, make_network, save_checkpoint, write, run, tmp_path
):
    other = save_checkpoint(tmp_path / "other.ckpt", make_network(seed=3))
    source = write("in.txt", "\n".join(TEXT))
    _, lines, _ = run("translate", checkpoint, other, "--input", source, "--scores")
    ensemble = Translator.from_checkpoint(checkpoint, other)
    assert [line.split("\t")[0] for line in lines] == ensemble(TEXT)
    assert lines != run("translate", checkpoint, "--input", source, "--scores")[1]


def test_a_pause_in_the_input_brings_out_what_was_read(checkpoint, translator):
    with started("translate", checkpoint) as process:
        for text in ("red dog", "", "car"):
            feed(process, f"{text}\n")
            # Nothing would come if the line were kept until there are more.
            assert process.stdout.readline().decode() == f"{translator(text)}\n"
        process.stdin.close()
        assert process.stdout.read() == process.stderr.read() == b""
        assert process.wait(PATIENT) == 0


def test_a_reader_that_stops_ends_it_quietly(checkpoint):
    with started("translate", checkpoint) as process:
        feed(process, "red dog\n")
        process.stdout.readline()
        process.stdout.close()
        feed(process, "car\n")
        assert process.stderr.read() == b""
        assert process.wait(PATIENT) == 141


def test_a_table_that_nobody_reads_ends_quietly(write):
    same = str(write("same", "red dog\n"))
    command = [*COMMAND, "bleu", same, same]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(PATIENT) == 141


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_ends_it_without_a_traceback(checkpoint):
    with started("translate", checkpoint) as process:
        feed(process, "red dog\n")
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b""
        assert process.wait(PATIENT) == 130


def test_bytes_that_are_no_text_are_named_and_what_came_before_stays(
    checkpoint, translator, write, run
):
    bad = b"red dog\ncar\ncaf\xe9 ol\xe9\nred\n"
    result = piped("translate", checkpoint, stdin=bad)
    assert result.returncode == 2
    assert result.stdout.decode().splitlines() == translator(["red dog", "car"])
    (line,) = result.stderr.decode().splitlines()
    assert line.startswith("error: standard input, line 3: byte 0xe9 at 4 is not UTF-8")
    first, second = write("good.txt", "cat\n"), write("bad.txt", bad)
    code, lines, (error,) = run("translate", checkpoint, "--input", first, second)
    assert (code, lines) == (2, translator(["cat", "red dog", "car"]))
    assert error.startswith(f"error: {second}, line 3: byte 0xe9")


def test_a_long_line_is_named_by_its_number(checkpoint, write, run):
    source = write("in.txt", "car\n" * 5 + "dog " * 600 + "\ncat\n")
    code, lines, errors = run(
        "translate", checkpoint, "--input", source, "--batch-size", 2, "--beam-size", 1,
        "--max-length-ratio", 0.01, "--alignments",
    )  # fmt: skip
    assert (code, len(lines)) == (0, 7)
    assert errors == ["warning: line 6 has 600 tokens: only the first 512 are read"]


def test_output_is_utf8_whatever_the_locale(tmp_path, make_network, save_checkpoint):
    tokens = Tokenizer.train(["猫が好き", "犬が好き", "家の猫", "犬の家"], vocab_size=12)
    network = make_network(vocab_size=12)
    with torch.no_grad():  # it has only one thing to say
        network.decoder.projection.bias[tokens.encode("猫")[-1]] = 20
    model = save_checkpoint(tmp_path / "ja.ckpt", network, source=tokens, target=tokens)
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    result = subprocess.run(
        [*COMMAND, "translate", str(model)],
        input="猫が好き\n".encode(),
        capture_output=True,
        env=environment,
        timeout=PATIENT,
        check=False,
    )
    assert result.stderr == b""
    assert set(result.stdout.decode()) == {"猫", "\n"}


def test_score_prints_a_log_probability_per_pair(checkpoint, translator, write, run):
    source, target = write("a.en", "red dog\ncar\n\n"), write("a.de", "RED DOG\nTREE\n\n")
    code, lines, errors = run("score", checkpoint, "--source", source, "--target", target)
    expected = translator.score(["red dog", "car", ""], ["RED DOG", "TREE", ""])
    assert (code, errors) == (0, [])
    assert [float(line) for line in lines] == pytest.approx(expected, abs=1e-4)
    short = write("b.de", "RED DOG\n")
    code, lines, errors = run("score", checkpoint, "--source", source, "--target", short)
    assert (code, lines) == (2, [])
    assert errors == [
        f"error: {source} has 3 lines but {short} has 1: give files whose lines belong together"
    ]


def test_score_says_how_much_it_does_not_know(checkpoint, write, run):
    source, target = write("a.en", "red dog\n"), write("a.de", "RED Ω\n")
    code, lines, errors = run("score", checkpoint, "--source", source, "--target", target)
    assert (code, len(lines), len(errors)) == (0, 1, 1)
    assert errors[0].startswith("warning: 1 of ")


def test_bleu_shows_four_scores_with_signatures(write, run):
    same = write("[red].hyp", "the cat sat on the mat\na dog runs in the park\n")
    code, lines, errors = run("bleu", same, same)
    assert (code, errors) == (0, [])
    table = "\n".join(lines)
    assert re.search(r"BLEU \(cased\)\W+100\.00", table)
    assert re.search(r"TER \(lower is better\)\W+0\.00", table)
    assert lines[-4].startswith("BLEU (cased): nrefs:1|case:mixed|eff:no|tok:13a|")
    chinese = write("hyp.zh", "一个戴着橙色帽子的男人\n")
    assert "|tok:zh|" in run("bleu", chinese, chinese, "--language", "zh")[1][-4]


def test_bleu_compares_two_systems(write, run):
    reference = write("ref", "the cat sat on the mat\na dog runs in the park\n" * 8)
    good = write("good", "the cat sat on the mat\na dog ran in the park\n" * 8)
    poor = write("poor", "the cat is at the mat\ndogs run in a park\n" * 8)
    code, lines, errors = run("bleu", good, reference, "--compare", poor)
    assert (code, errors) == (0, [])
    table = "\n".join(lines)
    assert "difference" in table
    assert "p value" in table
    numbers = re.search(r"chrF\W+([\d.]+)\W+([\d.]+)[^\d-]+(-[\d.]+)\W+([\d.]+)", table).groups()
    first, second, difference, p_value = map(float, numbers)
    assert second - first == pytest.approx(difference, abs=0.011)
    assert p_value < 0.05
    assert "bs:1000" in lines[-1]
    assert "…" not in table, "which system is which"
    assert run("bleu", good, reference, "--compare", write("short", "x\n"))[0] == 2
    assert run("bleu", write("none", ""), write("none2", ""))[2][0].endswith("nothing to score")


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_align_draws_a_picture(checkpoint, run, tmp_path, ending):
    picture = tmp_path / f"map.{ending}"
    assert run("align", checkpoint, "red dog", "--output", picture) == (0, [], [])
    content = picture.read_bytes()
    assert content.startswith(b"\x89PNG" if ending == "png" else b"<?xml")
    forced = tmp_path / f"forced.{ending}"
    assert run("align", checkpoint, "red dog", "--target", "TREE", "--output", forced)[0] == 0
    assert forced.read_bytes() != content
    assert run("align", checkpoint, "red dog", "--output", forced)[0] == 2


def test_mistakes_end_in_one_line_and_code_2(checkpoint, write, run, tmp_path):
    text = write("in.txt", "red dog\n")
    missing, output = tmp_path / "missing", tmp_path / "new.txt"
    for args, wanted in [
        (["translate", missing], "no checkpoint at"),
        (["translate", text], "texts to be read are named with --input"),
        (["translate", checkpoint, "--input", missing], f"{missing}: No such file"),
        (["translate", checkpoint, "--input", tmp_path], "directory"),
        (["translate", checkpoint, "--input", text, "--output", text / "a"], "cannot be written"),
        (["translate", checkpoint, "--beam-size", 0], "beam_size is 0"),
        (["translate", checkpoint, "--nbest", 9], "nbest is 9"),
        (["translate", checkpoint, "--top-k", 5], "--top-k belongs to sampling"),
        (["translate", checkpoint, "--sample", "--beam-size", 5], "--beam-size belongs to beam"),
        (["translate", checkpoint, "--device", "nowhere"], "device 'nowhere'"),
        (["score", checkpoint, "--source", text, "--target", missing], "No such file"),
        (["bleu", text, missing], "No such file"),
        (["align", checkpoint, " ", "--output", tmp_path / "map.png"], "empty"),
        (["align", checkpoint, "car", "--output", tmp_path / "map.jpg"], "neither .png nor .svg"),
    ]:
        code, lines, errors = run(*args)
        assert (code, lines) == (2, []), args
        (line,) = errors
        assert line.startswith("error: ")
        assert wanted in line
    code, _, errors = run(
        "translate", checkpoint, "--input", text, "--output", output, "--sample", "--top-p", 2
    )
    assert (code, len(errors)) == (2, 1)
    assert "top_p=2.0" in errors[0]
    assert not output.exists(), "the corrected command would be refused"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_said_in_one_line(checkpoint):
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            [*COMMAND, "translate", str(checkpoint)],
            input=b"red dog\n",
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=PATIENT,
            check=False,
        )
    assert result.returncode == 2
    assert result.stderr == b"error: No space left on device\n"


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["translate"],
        ["score"],
        ["bleu"],
        ["align"],
        ["generate"],
        ["score-text"],
        ["classify"],
    ],
)
def test_help_needs_nothing_heavy(command):
    code = """
import sys
from nlp_rnn.cli import generate, main
try:
    main(sys.argv[1:])
finally:
    heavy = {"torch", "sacrebleu", "matplotlib", "rich", "sentencepiece", "lightning", "datasets"}
    assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    result = subprocess.run(
        [sys.executable, "-c", code, *command, "--help"],
        capture_output=True,
        text=True,
        timeout=PATIENT,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("usage: nlp-rnn")


def test_help_tells_the_defaults_of_the_searches():
    for options, common, search in (
        (BEAM_OPTIONS, COMMON_OPTIONS, BeamSearch()),
        (SAMPLING_OPTIONS, COMMON_OPTIONS, Sampling()),
        (generate.BEAM_OPTIONS, generate.COMMON_OPTIONS, TextBeamSearch()),
        (generate.SAMPLING_OPTIONS, generate.COMMON_OPTIONS, TextSampling()),
    ):
        for name, (kind, text) in {**options, **common}.items():
            assert kind(re.search(r"\(default (.*)\)", text)[1]) == getattr(search, name), name


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"nlp-rnn {__version__}\n"


@pytest.fixture(scope="module")
def language_model(tmp_path_factory):
    """A checkpoint of an untrained language model over a handful of words."""
    torch.manual_seed(0)
    vocabulary = WordVocabulary(["the", "cat", "dog", "saw", "a"])
    network = LanguageModel(vocab_size=9, embedding_size=8, hidden_size=8)
    path = tmp_path_factory.mktemp("lm") / "lm.ckpt"
    torch.save(
        {
            "nlp_rnn": {"task": "language_model", "format": 1},
            "hyper_parameters": dict(network.arguments),
            "state_dict": {f"network.{k}": v for k, v in network.state_dict().items()},
            "LanguageModelData": {"vocabulary": vocabulary.to_bytes(), "direction": "forward"},
        },
        path,
    )
    return path


def test_generate_continues_prompts(language_model, run):
    generator = TextGenerator.from_checkpoint(language_model)
    code, lines, errors = run("generate", language_model, "the cat", "--max-tokens", 20)
    assert (code, lines, errors) == (0, [generator("the cat", TextSampling(max_tokens=20))], [])
    code, lines, _ = run(
        *("generate", language_model, "the", "a", "--beam", "--beam-size", 3, "--max-tokens", 5)
    )
    wanted = generator(["the", "a"], TextBeamSearch(beam_size=3, max_tokens=5))
    assert (code, lines) == (0, [wanted[0], "-" * 20, wanted[1]])


def test_a_prompt_may_stand_behind_the_options(language_model, run):
    expected = run("generate", language_model, "the cat", "a", "--max-tokens", 5)
    assert run("generate", language_model, "--max-tokens", 5, "the cat", "a") == expected
    assert run("generate", language_model, "--max-tokens", 5, "--", "the cat", "a") == expected
    dash = run("generate", language_model, "- a cat", "--max-tokens", 5)
    assert run("generate", language_model, "--max-tokens", 5, "- a cat") == dash
    assert run("generate", language_model, "--max-tokens", 5, "--", "- a cat") == dash
    for prompt in ("-Well, he said", "-5"):
        text = run("generate", language_model, prompt, "--max-tokens", 5)
        assert run("generate", language_model, "--max-tokens", 5, prompt) == text
    with pytest.raises(SystemExit) as stopped:
        run("generate", language_model, "--max-tokens", 5, "the cat", "--warmth", 2)
    assert stopped.value.code == 2


def test_generate_writes_each_part_before_the_next_is_drawn(language_model, monkeypatch, capsys):
    written = []

    def parts(self, prompt, search):
        for part in (" sat", " on", " mats"):
            written.append(capsys.readouterr().out)
            yield part

    monkeypatch.setattr(TextGenerator, "stream", parts)
    main(["generate", str(language_model), "the cat"])
    assert [*written, capsys.readouterr().out] == ["the cat", " sat", " on", " mats\n"]


def test_generate_stops_draws_several_and_writes_backward(language_model, run, tmp_path):
    generator = TextGenerator.from_checkpoint(language_model)
    flags = ["--min-tokens", 10, "--max-tokens", 10]
    _, (whole,), _ = run("generate", language_model, "the", *flags)
    stop = whole.split()[2]
    search = TextSampling(min_tokens=10, max_tokens=10, stop=[stop])
    _, lines, _ = run("generate", language_model, "the", *flags, "--stop", stop)
    assert lines == [generator("the", search)] != [whole]
    _, lines, _ = run("generate", language_model, "the", *flags, "--num-samples", 2)
    (two,) = generator.generate(["the"], TextSampling(min_tokens=10, max_tokens=10, num_samples=2))
    assert lines == [two[0], "-" * 20, two[1]]
    content = torch.load(language_model, weights_only=True)
    content["LanguageModelData"]["direction"] = "backward"
    torch.save(content, tmp_path / "back.ckpt")
    code, (line,), _ = run("generate", tmp_path / "back.ckpt", "the cat", *flags)
    assert code == 0
    assert line.endswith("the cat")


@pytest.mark.parametrize(
    ("command", "kind"),
    [("translate", Translator), ("generate", TextGenerator), ("classify", TextClassifier)],
)
def test_model_options_reach_the_model(command, kind, run, monkeypatch):
    seen, threads = {}, []

    def opened(*paths, **options):
        seen.update(options)
        raise InputError("enough")

    monkeypatch.setattr(kind, "from_checkpoint", opened)
    monkeypatch.setattr("torch.set_num_threads", threads.append)
    flags = ["--precision", "bf16", "--device", "meta", "--threads", 3]
    assert run(command, "x.ckpt", *flags) == (2, [], ["error: enough"])
    assert (seen, threads) == ({"device": "meta", "precision": "bf16"}, [3])


def test_generate_says_what_it_does_not_know(language_model, run):
    code, _, errors = run("generate", language_model, "the zebra", "--max-tokens", 3)
    assert code == 0
    assert len(errors) == 1
    assert "does not know 'zebra'" in errors[0]


def test_score_text_writes_a_tab_of_a_token_as_an_escape(language_model, write, run, monkeypatch):
    monkeypatch.setattr(TextGenerator, "pieces", lambda self, text: ["a\tb", "c\n"])
    _, lines, _ = run("score-text", language_model, "--input", write("in.txt", "x\n"), "--tokens")
    assert [line.split("\t")[1] for line in lines] == [r"a\tb", r"c\n"]


def test_score_text_prints_lines_tokens_and_pairs(language_model, write, run):
    texts = ["the cat saw a dog", "", "cat the"]
    scored = TextGenerator.from_checkpoint(language_model).log_probs(texts)
    path = write("in.txt", "\n".join(texts) + "\n")
    code, lines, _ = run("score-text", language_model, "--input", path)
    assert (code, lines) == (0, [f"{sum(values):.4f}" for values in scored])
    code, lines, _ = run("score-text", language_model, "--input", path, "--tokens")
    assert (code, len(lines)) == (0, sum(map(len, scored)))
    assert lines[0] == f"1\tthe\t{scored[0][0]:.4f}"
    pairs = write("pairs.txt", "cat the\tthe cat saw a dog\nthe cat saw a dog\tcat the\n")
    code, lines, errors = run("score-text", language_model, "--input", pairs, "--pairs")
    first, second = sum(scored[2]), sum(scored[0])
    expected = [f"1\t{first:.4f}\t{second:.4f}", f"2\t{second:.4f}\t{first:.4f}"]
    assert (code, lines) == (0, expected)
    assert errors == ["the first text is likelier in 1 of 2 pairs"]
    single = ["--batch-size", 1]
    generator = TextGenerator.from_checkpoint(language_model)
    _, lines, _ = run("score-text", language_model, "--input", path, "--tokens", *single)
    numbered = [
        [str(n), piece] for n, text in enumerate(texts, 1) for piece in generator.pieces(text)
    ]
    assert [line.split("\t")[:2] for line in lines] == numbered
    _, _, errors = run("score-text", language_model, "--input", pairs, "--pairs", *single)
    assert errors == ["the first text is likelier in 1 of 2 pairs"]
    strange = write("strange.txt", "the zebra saw a quagga\n")
    _, _, errors = run("score-text", language_model, "--input", strange)
    assert len(errors) == 1
    assert errors[0].startswith("warning: 2 of 5 tokens are unknown")
    even = write("even.txt", "cat the\tcat the\n")
    _, (line,), _ = run("score-text", language_model, "--input", even, "--pairs")
    assert line.startswith("0\t")


def test_mistakes_with_a_language_model_end_in_one_line_and_code_2(
    language_model, checkpoint, write, run
):
    text, nothing = write("in.txt", "a cat\n"), write("empty.txt", "")
    for args, wanted in [
        (["generate", checkpoint, "the"], "task 'translate', but 'language_model' is wanted"),
        (["generate", language_model, "--top-p", 2], "top_p=2.0 is out of range"),
        (["generate", language_model, "--beam-size", 2], "--beam-size does not belong here"),
        (["generate", language_model, "--beam", "--top-k", 2], "--top-k does not belong here"),
        (["generate", language_model, "--num-samples", 10**20], f"num_samples={10**20} is out of"),
        (["generate", language_model, "--beam", "--beam-size", 10**20], f"beam_size={10**20} is"),
        (["generate", language_model, "--device", "meta"], "device 'meta' cannot be used here"),
        (["score-text", language_model, "--input", nothing], "there is no text"),
        (["score-text", language_model, "--input", text, "--pairs"], "line 1 has 0 tabs"),
    ]:
        code, _, errors = run(*args)
        assert code == 2, args
        (line,) = errors
        assert line.startswith("error: ")
        assert wanted in line


@pytest.fixture(scope="module")
def classifier_checkpoint(tmp_path_factory):
    """An untrained classifier in the layout that checkpoints promise."""
    vocabulary = WordVocabulary(["good", "bad", "film", "not"])
    torch.manual_seed(0)
    network = Classifier(vocab_size=8, embedding_size=8, hidden_size=8, labels=["no", "yes"])
    path = tmp_path_factory.mktemp("classifier") / "best.ckpt"
    torch.save(
        {
            "nlp_rnn": {"task": "classify", "format": 1},
            "hyper_parameters": network.arguments,
            "state_dict": {f"network.{k}": v for k, v in network.state_dict().items()},
            "ClassificationData": {"vocabulary": vocabulary.to_bytes()},
            "temperature": 2.0,
        },
        path,
    )
    return path


REVIEWS = ["good film", "", "not good, bad", "film\tfilm"]


def test_classify_writes_a_line_per_line(classifier_checkpoint, run, write):
    file = write("reviews.txt", "".join(f"{text}\n" for text in REVIEWS))
    code, out, _ = run("classify", classifier_checkpoint, "--input", file)
    assert code == 0
    found = TextClassifier.from_checkpoint(classifier_checkpoint)(REVIEWS)
    for line, each in zip(out, found, strict=True):
        label, *probs = line.split("\t")
        assert label == each.label
        assert probs == [f"{name}:{prob:.4f}" for name, prob in each.probabilities.items()]


def test_classify_names_empty_lines(classifier_checkpoint, run, write):
    file = write("reviews.txt", "good\n\nbad\n  \n")
    code, out, err = run("classify", classifier_checkpoint, "--input", file, "--batch-size=1")
    assert code == 0
    assert len(out) == 4
    assert err == [f"warning: line {number} is empty: its label is a guess" for number in (2, 4)]


@pytest.mark.parametrize(
    ("command", "checkpoint"),
    [("classify", "classifier_checkpoint"), ("score-text", "language_model")],
)
def test_a_pause_brings_out_labels_and_scores(command, checkpoint, request):
    with started(command, request.getfixturevalue(checkpoint)) as process:
        for _ in range(2):
            feed(process, "red dog\n")
            assert process.stdout.readline().strip()
        process.stdin.close()
        assert process.wait(PATIENT) == 0


def test_classify_reads_columns(classifier_checkpoint, run, write):
    table = io.StringIO()
    csv.writer(table).writerows([("id", "review"), *enumerate(REVIEWS)])
    lines = "".join(json.dumps({"review": text}) + "\n" for text in REVIEWS)
    outputs = []
    for name, content in (("a.csv", table.getvalue()), ("a.jsonl", lines)):
        code, out, _ = run(
            "classify",
            classifier_checkpoint,
            "--input",
            write(name, content),
            "--column=review",
            "--jsonl",
        )
        assert code == 0
        outputs.append(out)
    assert outputs[0] == outputs[1]
    assert [json.loads(line)["text"] for line in outputs[0]] == REVIEWS


def test_classify_reads_tables_as_training_does(classifier_checkpoint, run, write):
    long = "good " * 30_000  # beyond csv's own limit of a cell
    for name, content, texts in (
        ("a.tsv", 'review\tid\n"not closed\t1\ngood\t2\n', ['"not closed', "good"]),
        ("a.csv", f"review\n{long}\n", [long]),
        ("a.csv", "\nx,review\n1,good\n  \n", ["good"]),
        ("a.csv", "review,x\ngood,1\n  \n", ["good"]),
        ("a.jsonl", '{"review": "good"}\n\n{"review": "bad"}\n', ["good", "bad"]),
        ("a.jsonl", '{"review": "half a pair: \\ud83d"}\n', ["half a pair: \ud83d"]),
    ):
        file = write(name, content)
        flags = ["--input", file, "--column=review", "--jsonl"]
        code, out, _ = run("classify", classifier_checkpoint, *flags)
        assert code == 0
        assert [json.loads(line)["text"] for line in out] == texts


@pytest.mark.parametrize(
    ("name", "content", "flags", "message"),
    [
        ("a.csv", "x,y\n1,2\n", ["--column=review"], "no column 'review'; there are x, y"),
        (
            "a.csv",
            "\n \nx,review\n1\n",
            ["--column=review"],
            "line 4: the row ends before 'review'",
        ),
        ("a.csv", "x,review\n1\n", ["--column=review"], "line 2: the row ends before 'review'"),
        ("a.csv", "review\ngood, bad\n", ["--column=review"], "line 2: more cells than the header"),
        ("a.csv", "review,review\n1,2\n", ["--column=review"], "2 columns are called 'review'"),
        ("a.jsonl", "{\n", ["--column=review"], "line 1: no JSON object"),
        ("a.jsonl", '{"a": 1}\n', ["--column=review"], "line 1: no 'review'; it has a"),
        ("a.jsonl", '{"review": [1]}\n', ["--column=review"], "line 1: 'review' is no text"),
        ("a.csv", "review\ngood film\n", [], "is a table: say where its texts stand"),
        ("A.CSV", "review\ngood film\n", [], "is a table: say where its texts stand"),
        ("a.json", '[{"review": "good"}]', [], "convert it to jsonl"),
        ("a.json", '[{"a": "good"}]', ["--column=a"], "convert it to jsonl"),
        ("a.txt", "x\n", ["--column=review"], "is no table"),
        ("a.csv", b"review\n\xff\n", ["--column=review"], "not UTF-8"),
        ("a.txt", "", [], "there is no text"),
        ("a.jsonl", f'{{"review": "x", "n": {"1" * 5000}}}', ["--column=review"], "no JSON object"),
    ],
)
def test_classify_refuses_in_one_line(
    classifier_checkpoint, run, write, name, content, flags, message
):
    code, _, err = run("classify", classifier_checkpoint, "--input", write(name, content), *flags)
    assert code == 2
    assert len(err) == 1
    assert message in err[0]
