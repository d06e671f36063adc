"""A tiny trained translator that several test files share: it copies words, in upper case."""

import os
import random
import sys

import pytest
import torch
import torch.nn.functional as F

from nlp_rnn.data.batching import pad
from nlp_rnn.data.tokenizer import BOS, EOS, Tokenizer
from nlp_rnn.models.seq2seq import Seq2Seq

# Threads of several processes on a busy machine wait for each other; children inherit the variable.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"

WORDS = ["red", "green", "blue", "black", "white", "small", "large", "old", "new", "dog", "cat"]
WORDS += ["house", "tree", "man", "woman", "car"]
NO_DROPOUT = dict.fromkeys(
    ["embedding_dropout", "word_dropout", "dropout", "encoder_dropout", "output_dropout"], 0.0
)
VOCAB_SIZE = 70


def sentences(count, seed):
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(1, 4))) for _ in range(count)]


@pytest.fixture(scope="session", autouse=True)
def _private_cache(tmp_path_factory):
    """Nothing is kept in the user's caches, nor found there, nor on the Hub."""
    tables = tmp_path_factory.mktemp("tables")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NLP_RNN_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("HF_DATASETS_CACHE", str(tables))
        patch.setenv("HF_HUB_OFFLINE", "1")
        if "datasets" in sys.modules:  # which has read the environment by now
            patch.setattr("datasets.config.HF_DATASETS_CACHE", tables)
            patch.setattr("datasets.config.HF_HUB_OFFLINE", True)
        yield


@pytest.fixture(autouse=True)
def _same_start():
    """No test sees which ones ran before it."""
    torch.manual_seed(0)
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


@pytest.fixture(scope="session")
def tokenizer():
    texts = sentences(300, seed=0)
    return Tokenizer.train(texts + [text.upper() for text in texts], vocab_size=VOCAB_SIZE)


@pytest.fixture(scope="session")
def make_network():
    """Builds an untrained network; the same seed gives the same weights."""

    def build(seed=0, **arguments):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            sizes = {"vocab_size": VOCAB_SIZE, "embedding_size": 24, "hidden_size": 48}
            return Seq2Seq(**{**sizes, **NO_DROPOUT, **arguments})

    return build


@pytest.fixture(scope="session")
def network(make_network, tokenizer):
    """Trained for a few seconds: mostly right, and sure enough to end its sentences."""
    network = make_network()
    for update in range(100):
        texts = sentences(24, seed=100 + update)
        source, lengths = pad([[*tokenizer.encode(text), EOS] for text in texts])
        target, _ = pad([[BOS, *tokenizer.encode(text.upper()), EOS] for text in texts])
        outputs, _ = network(source, lengths, target[:, :-1])
        following = target[:, 1:]
        real = following != 0
        loss = F.cross_entropy(network.decoder.project(outputs[real]), following[real])
        network.zero_grad()
        loss.backward()
        with torch.no_grad():  # by the sign alone: torch.optim takes seconds to import
            for parameter in network.parameters():
                if parameter.grad is not None:
                    parameter -= 0.01 * (1 - update / 100) * parameter.grad.sign()
    return network.eval()


@pytest.fixture(scope="session")
def save_checkpoint(tokenizer):
    """Writes a network in the layout that checkpoints promise; keywords change parts of it."""

    def save(path, network, *, task="translate", version=1, source=tokenizer, target=tokenizer):
        torch.save(
            {
                "nlp_rnn": {"task": task, "format": version},
                "hyper_parameters": dict(network.arguments),
                "state_dict": {f"network.{k}": v for k, v in network.state_dict().items()},
                "TranslationData": {
                    "dataset": "words",
                    "source": "en",
                    "target": "de",
                    "validation": None,
                    "test": None,
                    "source_tokenizer": source.to_bytes(),
                    "target_tokenizer": target.to_bytes(),
                    "position": None,
                },
            },
            path,
        )
        return path

    return save


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory, network, save_checkpoint):
    return save_checkpoint(tmp_path_factory.mktemp("trained") / "best.ckpt", network)
