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
layers`` is the library's default depth. Ours trains with its Lightning task, theirs with their
commands; each counts real target tokens, the end token included, and the first tenth of the steps
is left out.

Decoding is the test split with the network just trained, in batches of 64, without start-up: the
time that the peers report, and text to text for ours. Few training steps give strange lengths, so
the written tokens are printed; train an epoch (450 steps on Multi30k) before comparing.
"""

import argparse
import json
import os
import re
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer, seed_everything

from benchmarks.corpus import Batch, Corpus, collate, load_corpus
from benchmarks.macs import target_macs
from benchmarks.timing import comparison_arguments, has_bf16, machine, precision, print_table
from nlp_rnn.data.batching import ResumableLoader, TokenBatches
from nlp_rnn.inference import BeamSearch, Translator
from nlp_rnn.models.seq2seq import Seq2Seq
from nlp_rnn.tasks.translate import TranslationTask

BATCH_SIZE, EMBEDDING, HIDDEN = 64, 256, 512
SEARCHES = {"greedy": 1, "beam 5": 5}
OURS: dict[str, dict[str, Any]] = {
    "one layer": {"decoder_layers": 1},
    "wide softmax": {"decoder_layers": 1, "embedding_size": 512},
    "two layers": {"decoder_layers": 2},
}
REPORTS = 10
"""Reports of a training; the first one warms up and is left out."""

_LAUNCH = (
    "import sys, torch; torch.set_float32_matmul_precision(sys.argv.pop(1)); "
    "from {module} import main; main()"
)
_REPORT = re.compile(r"Step +\d+/.*bsz: *[\d.]+/ *(\d+)/.*?(\d+)/ *(\d+) tok/s")


@dataclass(frozen=True)
class Decoding:
    """One pass over the test split: its rate, and how much was written."""

    sentences_per_second: float
    tokens_per_sentence: float


@dataclass(frozen=True)
class Measured:
    """What one tool did under one precision in one round.

    Attributes:
        tokens_per_second: in training, real target tokens.
        decoding: by name of the search.
    """

    tokens_per_second: float
    decoding: dict[str, Decoding]


def write_corpus(corpus: Corpus, folder: Path) -> None:
    """Subwords as the peers read them: separated by spaces, the vocabulary one a line."""
    tokenizer = corpus.tokenizer
    for side, name in enumerate(("source", "target")):
        lines = (" ".join(tokenizer.pieces(pair[side][:-1])) for pair in corpus.train)
        (folder / f"train.{name}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    lines = (" ".join(tokenizer.pieces(ids)) for ids in tokenizer.encode_batch(corpus.test))
    (folder / "test.source").write_text("\n".join(lines) + "\n", encoding="utf-8")
    pieces = tokenizer.pieces(range(4, tokenizer.vocab_size))
    (folder / "vocabulary").write_text("\n".join(pieces) + "\n", encoding="utf-8")
