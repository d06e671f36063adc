"""Training and decoding speed against OpenNMT-py 3.5.1 and eole 0.6.4, on the same data and sizes.

Each peer lives in an environment of its own. Their requirements would replace torch (or fetch
what translation does not need), so they are installed without them, and then what they import:

    python3 -m venv ONMT
    ONMT/bin/pip install torch==2.13.0
    ONMT/bin/pip install --no-deps OpenNMT-py==3.5.1
    ONMT/bin/pip install torch==2.13.0 numpy configargparse tensorboard pyyaml sacrebleu \
        rapidfuzz six "pyonmttok<2" "ctranslate2<5" flask waitress pyahocorasick spacy \
        fasttext-wheel

    python3 -m venv EOLE
    EOLE/bin/pip install torch==2.13.0
    EOLE/bin/pip install --no-deps eole==0.6.4
    EOLE/bin/pip install torch==2.13.0 numpy configargparse tensorboard pyyaml sacrebleu \
        rapidfuzz six "pyonmttok<2" "ctranslate2<5" pyahocorasick spacy "sentencepiece<=0.2.2" \
        fastapi huggingface_hub datasets pandas protobuf==7.36.2 rich safetensors \
        "subword-nmt>=0.3.7" tokenizers torch-optimi uvicorn waitress pydantic aiohttp requests

(pip complains about requirements that are left out.) Then, on a machine that does nothing else:

    python -m benchmarks.peers_translation --dataset DATA/multi30k \
        --onmt ONMT/bin/python --eole EOLE/bin/python

All read the same subwords and train on batches of 64 sentences: a bidirectional LSTM of 2 x 256, an
LSTM of 512 with ``general`` attention, embeddings of 256, dropout, Adam. The peers' decoder is the
fast one of theirs, without input feeding, and their softmax reads 512 numbers. Ours reads 256, so
three of ours are measured, and the work that a target token takes is printed beside each: ``one
layer`` has the peers' layers, ``wide softmax`` their softmax too (and embeddings of 512), ``two
layers`` is the library's default depth. A fourth, ``sampled``, is ``one layer`` trained among a
part of the words at a time (``softmax_sample``); its work depends on the batch. Ours trains with
its Lightning task, theirs with their commands; each counts real target tokens, the end token
included, and the first tenth of the steps is left out.

Decoding is the test split with the network just trained, in batches of 64, without start-up: the
time that the peers report, and text to text for ours. Few training steps give strange lengths, so
the written tokens are printed; train an epoch (450 steps on Multi30k) before comparing.

What is not the same: a peer starts a process for each command, so that its first batch is a cold
one, while ours translates in the process that has just trained. Ours keeps freed memory, as its
commands do; a peer has that, as an environment, under ``medium`` alone. bf16 is for ours alone.
``sampled`` is less work than the peers' by an option that they lack, and learns from an estimate of
their loss; it translates as ``one layer`` does.
"""

import argparse
import json
import logging
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything

from benchmarks.corpus import Batch, Corpus, collate, load_corpus, load_test
from benchmarks.macs import target_macs
from benchmarks.timing import (
    add_dataset,
    comparison_arguments,
    machine,
    parse,
    print_table,
    products,
    ratio,
    run_script,
)
from benchmarks.train_translation import SAMPLE
from nlp_rnn.cli.common import positive
from nlp_rnn.data.batching import ResumableLoader, TokenBatches
from nlp_rnn.inference import BeamSearch, Translator
from nlp_rnn.models.seq2seq import Seq2Seq
from nlp_rnn.tasks.translate import TranslationTask

BATCH_SIZE, EMBEDDING, HIDDEN = 64, 256, 512
SEARCHES = {"greedy": 1, "beam 5": 5}
REPORTS = 10
"""Of a training; the first one is left out."""

# The peers know nothing of this switch, which is global to a process.
_LAUNCH = (
    "import sys, torch; torch.set_float32_matmul_precision(sys.argv.pop(1)); "
    "from {} import main; main()"
)
_REPORT = re.compile(r"Step +\d+/.*bsz: *\d+/ *(\d+)/ *\d+; *\d+/ *(\d+) tok/s")


class Ours(NamedTuple):
    """A way to train with this library.

    Attributes:
        sizes: arguments of `Seq2Seq`.
        sample: of the softmax, see `TranslationTask`.
    """

    sizes: dict[str, Any]
    sample: int = 0


OURS = {
    "one layer": Ours({"decoder_layers": 1}),
    "wide softmax": Ours({"decoder_layers": 1, "embedding_size": HIDDEN}),
    "two layers": Ours({"decoder_layers": 2}),
    "sampled": Ours({"decoder_layers": 1}, sample=SAMPLE),
}


class Job(NamedTuple):
    """What every tool is asked to do.

    Attributes:
        corpus: what to train on.
        test: what to translate.
        folder: where `write_corpus` put both.
        steps: of training.
        threads: of each process.
    """

    corpus: Corpus
    test: list[str]
    folder: Path
    steps: int
    threads: int


class Result(NamedTuple):
    """What one tool did.

    Attributes:
        training: real target tokens a second.
        decoding: by name of the search, sentences a second and tokens a sentence, counted when
            the text is segmented anew, since a network may write a word in other pieces.
    """

    training: float
    decoding: dict[str, tuple[float, float]]


def write_corpus(corpus: Corpus, test: list[str], folder: Path) -> None:
    """Subwords as the peers read them: separated by spaces, and the vocabulary one a line."""
    tokenizer = corpus.tokenizer
    texts = {
        "train.source": [source[:-1] for source, _ in corpus.train],
        "train.target": [target[:-1] for _, target in corpus.train],
        "test.source": tokenizer.encode_batch(test),
    }
    for name, rows in texts.items():
        lines = (" ".join(tokenizer.pieces(ids)) + "\n" for ids in rows)
        (folder / name).write_text("".join(lines), encoding="utf-8")
    pieces = tokenizer.pieces(range(4, tokenizer.vocab_size))  # they have special ones of their own
    (folder / "vocabulary").write_text("\n".join(pieces) + "\n", encoding="utf-8")


def opennmt(python: str, job: Job, level: str) -> Result:
    """OpenNMT-py 3.5.1."""
    model = {
        "encoder_type": "brnn",
        "decoder_type": "rnn",
        "rnn_type": "LSTM",
        "enc_layers": 1,
        "dec_layers": 1,
        "word_vec_size": EMBEDDING,
        "hidden_size": HIDDEN,
        "global_attention": "general",
        "input_feed": 0,
        "share_embeddings": True,
    }
    settings = {**_data(job), **model, **_training(job), **_logging(job), "save_model": "onmt"}
    log = launch(python, "onmt.bin.train", settings, job, level)
    decoding = {}
    for name, beam_size in SEARCHES.items():
        greedy = {"random_sampling_topk": 1} if beam_size == 1 else {}
        search = {"model": f"onmt_step_{job.steps}.pt", **_search(beam_size), **greedy}
        text = launch(python, "onmt.bin.translate", search, job, level)
        decoding[name] = written(job, seconds(text, "Total translation time (s)"))
    return Result(training_rate(log), decoding)


def eole(python: str, job: Job, level: str) -> Result:
    """Eole 0.6.4."""
    recurrent = {"rnn_type": "LSTM", "layers": 1, "hidden_size": HIDDEN}
    model = {
        "architecture": "custom",
        "embeddings": {"word_vec_size": EMBEDDING, "position_encoding_type": None},
        "encoder": {"encoder_type": "brnn", **recurrent},
        "decoder": {
            "decoder_type": "rnn",
            "global_attention": "general",
            "bidirectional_encoder": True,
            **recurrent,
        },
        "input_feed": 0,
        "share_embeddings": True,
    }
    training = {**_training(job), "model_path": "eole", "log_attention_entropy": False}
    settings = {**_data(job), **_logging(job), "model": model, "training": training}
    log = launch(python, "eole.bin.main", settings, job, level, "train")
    decoding = {}
    for name, beam_size in SEARCHES.items():
        greedy = {"top_k": 1} if beam_size == 1 else {}
        search = {"model_path": "eole", **_search(beam_size), **greedy}
        text = launch(python, "eole.bin.main", search, job, level, "predict")
        later = seconds(text, "Subsequent prediction time including all (s)")
        decoding[name] = written(job, seconds(text, "Step 0 time (s)") + later)
    return Result(training_rate(log), decoding)


def ours(way: Ours, job: Job, level: str) -> Result:
    """This library: `TranslationTask` in a Lightning trainer, and `Translator`."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    seed_everything(1, verbose=False)
    network = build(way.sizes, job.corpus)
    pairs = job.corpus.train
    loader = ResumableLoader(
        pairs,
        batch_sampler=TokenBatches(
            [(len(source), len(target)) for source, target in pairs],
            tokens_per_batch=1_000_000,
            max_sentences=BATCH_SIZE,
            shuffle=True,
        ),
        collate_fn=collate,
    )
    speed = Speed(skip=job.steps // REPORTS)
    trainer = Trainer(
        accelerator="cpu",
        precision="bf16-mixed" if level == "bf16" else "32-true",
        gradient_clip_val=1.0,
        max_epochs=-1,
        max_steps=job.steps,
        callbacks=[speed],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with products(level):
        trainer.fit(TranslationTask(network, softmax_sample=way.sample), loader)
        tokenizer, decoding = job.corpus.tokenizer, {}
        dtype = "bf16" if level == "bf16" else "fp32"
        translator = Translator([network], tokenizer, tokenizer, precision=dtype)  # type: ignore[arg-type]
        for name, beam_size in SEARCHES.items():
            search = BeamSearch(beam_size=beam_size)
            start = time.perf_counter()
            found = translator.translate(job.test, search, batch_size=BATCH_SIZE)
            rate = len(found) / (time.perf_counter() - start)
            tokens = sum(len(tokenizer.encode(best.text)) for best, *_ in found)
            decoding[name] = (rate, tokens / len(found))
    return Result(speed.rate, decoding)


def build(sizes: dict[str, Any], corpus: Corpus) -> Seq2Seq:
    """Our network of the common sizes."""
    common = {"cell": "lstm", "embedding_size": EMBEDDING, "hidden_size": HIDDEN}
    return Seq2Seq(vocab_size=corpus.tokenizer.vocab_size, **{**common, **sizes})


class Speed(Callback):
    """Counts real target tokens a second, without the first steps."""

    def __init__(self, *, skip: int) -> None:
        self.skip, self.tokens, self.start, self.rate = skip, 0, 0.0, 0.0

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,  # noqa: ARG002
        outputs: Any,  # noqa: ARG002
        batch: Batch,
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Start the clock after the steps to skip, then count."""
        if trainer.global_step <= self.skip:
            self.start = time.perf_counter()
            return
        self.tokens += int(batch.target_lengths.sum())
        self.rate = self.tokens / (time.perf_counter() - self.start)


def launch(
    python: str, module: str, settings: dict[str, Any], job: Job, level: str, *command: str
) -> str:
    """Run a peer's command in the folder of the job; returns what it wrote to the terminal."""
    (job.folder / "settings.yaml").write_text(json.dumps(settings))  # JSON is YAML
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(job.threads),
        "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",  # OpenNMT-py saves more than weights
    }
    if level == "medium":
        environment |= {
            "MALLOC_MMAP_THRESHOLD_": str(2**30),
            "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
        }
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [python, "-c", _LAUNCH.format(module), level, *command, "-config", "settings.yaml"],
        cwd=job.folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{module} failed:\n" + done.stdout[-3000:])
    return done.stdout


def training_rate(log: str) -> float:
    """Tokens a second over all reports but the first; both peers write them alike."""
    reports = [(int(tokens), int(rate)) for tokens, rate in _REPORT.findall(log)][1:]
    if not reports:
        raise SystemExit("no report of a speed in:\n" + log[-3000:])
    return sum(tokens for tokens, _ in reports) / sum(tokens / rate for tokens, rate in reports)


def seconds(log: str, label: str) -> float:
    """The number after a label."""
    found = re.search(re.escape(label) + r": *([\d.]+)", log)
    if not found:
        raise SystemExit(f"no {label!r} in:\n" + log[-3000:])
    return float(found[1])


def written(job: Job, elapsed: float) -> tuple[float, float]:
    """Sentences a second and tokens a sentence of a peer's output."""
    lines = (job.folder / "output").read_text(encoding="utf-8").splitlines()
    texts = [line.replace(" ", "").replace("\u2581", " ") for line in lines]
    tokens = sum(map(len, job.corpus.tokenizer.encode_batch(texts)))
    return len(lines) / elapsed, tokens / len(lines)


def _data(job: Job) -> dict[str, Any]:
    size = job.corpus.tokenizer.vocab_size
    corpus = {"path_src": "train.source", "path_tgt": "train.target", "transforms": []}
    return {
        "data": {"train": corpus},
        "src_vocab": "vocabulary",
        "tgt_vocab": "vocabulary",
        "share_vocab": True,
        "src_vocab_size": size,
        "tgt_vocab_size": size,
    }


def _training(job: Job) -> dict[str, Any]:
    return {
        "optim": "adam",
        "learning_rate": 0.001,
        "max_grad_norm": 1.0,
        "dropout": [0.3],
        "batch_type": "sents",
        "batch_size": BATCH_SIZE,
        "bucket_size": len(job.corpus.train),  # sorts all of it by length, as ours does
        "num_workers": 0,
        "train_steps": job.steps,
        "valid_steps": 10 * job.steps,
        "save_checkpoint_steps": job.steps,
    }


def _logging(job: Job) -> dict[str, Any]:
    return {"report_every": job.steps // REPORTS, "seed": 1}


def _search(beam_size: int) -> dict[str, Any]:
    return {
        "src": "test.source",
        "output": "output",
        "beam_size": beam_size,
        "batch_size": BATCH_SIZE,
        "length_penalty": "wu",
        "alpha": 1.0,
        "max_length_ratio": 2,
        "report_time": True,
    }


def peer_macs(vocab_size: int) -> int:
    """MACs of a peer's decoder per target token: LSTM, attention's two layers, softmax."""
    lstm = 4 * HIDDEN * (EMBEDDING + HIDDEN)
    return lstm + HIDDEN * HIDDEN + 2 * HIDDEN * HIDDEN + HIDDEN * vocab_size


def measure(
    job: Job, pythons: dict[str, str], levels: list[str], *, rounds: int
) -> dict[tuple[str, str], list[Result]]:
    """Results of every tool and precision in every round, in turn.

    Args:
        job: what to do.
        pythons: interpreters of the peers, by name.
        levels: precisions; bf16 is for ours only.
        rounds: times that all take turns.
    """
    tools: dict[tuple[str, str], Callable[[], Result]] = {}
    peers = {"OpenNMT-py": opennmt, "eole": eole}
    for level in levels:
        for name, python in pythons.items():
            if level != "bf16":
                tools[name, level] = partial(peers[name], python, job, level)
        for name, way in OURS.items():
            tools[name, level] = partial(ours, way, job, level)
    results: dict[tuple[str, str], list[Result]] = {key: [] for key in tools}
    for _ in range(rounds):
        for key, run_tool in tools.items():
            result = run_tool()
            results[key].append(result)
            rates = (f"{name} {rate:,.0f}" for name, (rate, _) in result.decoding.items())
            print(
                f"{', '.join(key)}: training {result.training:,.0f},", ", ".join(rates), flush=True
            )
    print()
    return results


def report(results: dict[tuple[str, str], list[Result]], macs: dict[str, int]) -> None:
    """Medians over rounds, and ratios to the fastest peer within the same round."""
    peers = [key for key in results if key[0] not in OURS]
    columns: dict[str, Callable[[Result], float]] = {"training": lambda result: result.training}
    for search in SEARCHES:
        columns[search] = lambda result, search=search: result.decoding[search][0]  # type: ignore[misc]
    for column, value in columns.items():
        rates = {key: [value(result) for result in runs] for key, runs in results.items()}
        plain = "highest" if any(level == "highest" for _, level in peers) else "medium"
        as_is = max((key for key in peers if key[1] == plain), key=lambda key: median(rates[key]))
        tuned = max(peers, key=lambda key: median(rates[key]))
        others = dict.fromkeys([as_is, tuned])
        rows: list[list[object]] = []
        for (tool, level), values in rates.items():
            last: object = macs[tool] / 1e6 if tool in macs else ""
            if column in SEARCHES:
                last = median(run.decoding[column][1] for run in results[tool, level])
            against = (ratio(values, rates[other]) for other in others)
            rows.append([tool, level, median(values), *against, last])
        unit = "sentences/s" if column in SEARCHES else "tokens/s"
        amount = "tokens a sentence" if column in SEARCHES else "MMACs a target token"
        print(column)
        names = [f"x {' '.join(other)}" for other in others]
        print_table(["tool", "precision", unit, *names, amount], rows)


def main() -> None:
    parser = comparison_arguments(__doc__.splitlines()[0], rounds=2)
    add_dataset(parser)
    parser.add_argument("--onmt", help="Python of the environment with OpenNMT-py")
    parser.add_argument("--eole", help="Python of the environment with eole")
    parser.add_argument("--steps", type=positive, default=450, help="of training")
    parser.add_argument("--vocab-size", type=positive, default=8000)
    options = parse(parser)
    for name, path in (("--onmt", options.onmt), ("--eole", options.eole)):
        if path and not Path(path).is_file():
            parser.error(f"{name} {path} is no file: give the Python of its environment")
    if not (options.onmt or options.eole):
        parser.error("give --onmt, --eole or both")
    if options.steps < REPORTS:
        parser.error(f"--steps {options.steps} is too few for {REPORTS} reports")
    run(options)


def run(options: argparse.Namespace) -> None:
    print(machine(options.threads))
    given = {"OpenNMT-py": options.onmt, "eole": options.eole}
    # Not resolved: the link within the environment is what makes it that environment's Python.
    pythons = {name: str(Path(path).absolute()) for name, path in given.items() if path}
    test = load_test(options.dataset)
    corpus = load_corpus(options.dataset, vocab_size=options.vocab_size)
    macs = dict.fromkeys(pythons, peer_macs(corpus.tokenizer.vocab_size))
    macs |= {
        name: target_macs(build(way.sizes, corpus)) for name, way in OURS.items() if not way.sample
    }
    with tempfile.TemporaryDirectory() as folder:
        write_corpus(corpus, test, Path(folder))
        job = Job(corpus, test, Path(folder), options.steps, options.threads)
        results = measure(job, pythons, options.precisions, rounds=options.rounds)
    report(results, macs)


if __name__ == "__main__":
    run_script(main)
