import copy
import math

import pytest
import torch

from nlp_rnn.data.streams import Streams, WindowBatches, side_by_side
from nlp_rnn.errors import InputError
from nlp_rnn.evaluation import DynamicEvaluation, NeuralCache, Reader
from nlp_rnn.models.language_model import LanguageModel


@pytest.fixture(params=[0, 5], ids=["plain", "pointer"])
def model(request):
    torch.manual_seed(0)
    sizes = {"vocab_size": 20, "embedding_size": 8, "hidden_size": 8}
    return LanguageModel(**sizes, pointer_span=request.param).eval()


@pytest.fixture
def text():
    return torch.randint(4, 20, (61,), generator=torch.Generator().manual_seed(1))


def read(model, text, *, rows=1, length=10, **arguments):
    """Nats of every token in the order of the text, and the reader."""
    streams = side_by_side(text, rows)
    reader = Reader(model, **arguments)
    batches = WindowBatches(streams.size(1) - 1, lengths=[length])
    nats = torch.cat([reader(Streams(streams)[window]) for (window,) in batches], 1)
    return nats, reader


def test_cutting_a_text_differently_changes_nothing(model, text):
    whole, _ = read(model, text, length=60)
    reading, _ = model(text[None, :-1], model.zero_state(1))
    torch.testing.assert_close(whole, model.nats(reading, text[None, 1:]))
    for length in (1, 7, 32):
        torch.testing.assert_close(read(model, text, length=length)[0], whole)


def test_streams_count_every_token_once(model, text):
    nats, _ = read(model, text, rows=7)
    assert int((nats > 0).sum()) == 60


def test_the_cache_equals_its_definition(model, text):
    cache = NeuralCache(size=6, flatness=0.7, share=0.3)
    reading, _ = model(text[None, :-1], model.zero_state(1))
    hidden, words = reading.outputs[0].detach(), text[1:]
    plain = model.nats(reading, text[None, 1:])[0].detach()
    expected = []
    for t in range(60):
        past = range(max(0, t - 6), t)
        if not past:
            expected.append(float(plain[t]))
            continue
        weights = [math.exp(0.7 * float(hidden[t] @ hidden[i])) for i in past]
        same = sum(w for w, i in zip(weights, past) if words[i] == words[t])
        expected.append(-math.log(0.7 * math.exp(-plain[t]) + 0.3 * same / sum(weights)))
    for length in (4, 25, 60):
        nats, _ = read(model, text, length=length, cache=cache)
        torch.testing.assert_close(nats[0], torch.tensor(expected), rtol=1e-4, atol=1e-4)


def test_every_stream_has_a_cache_of_its_own(model, text):
    cache = NeuralCache(size=6, flatness=0.7, share=0.3)
    together, _ = read(model, text, rows=7, length=4, cache=cache)  # 63 places for 60 tokens
    for nats, ids in zip(together, side_by_side(text, 7)):
        real = ids[ids != 0]
        alone, _ = read(model, real, length=4, cache=cache)
        torch.testing.assert_close(nats[: len(real) - 1], alone[0], rtol=1e-4, atol=1e-4)
        assert nats[len(real) - 1 :].eq(0).all()


def test_the_cache_compares_in_fp32(model, text):
    cache = NeuralCache(size=20, flatness=1.0, share=0.3)
    reader = Reader(model, cache=cache)
    keys = 4 * torch.randn(1, 30, 8)
    words, plain = text[None, :30], torch.ones(1, 30)
    expected = reader._remember(keys, words, plain)
    reader._keys = reader._words = None
    with torch.autocast("cpu", torch.bfloat16):
        found = reader._remember(keys, words, plain)
    torch.testing.assert_close(found, expected)


def test_the_cache_helps_where_words_come_back(model):
    text = torch.tensor([4, 5, 6, 7] * 20)
    plain, _ = read(model, text)
    cached, _ = read(model, text, cache=NeuralCache(size=50, flatness=1.0))
    assert cached.mean() < plain.mean()


def test_dynamic_evaluation_learns_in_inference_mode_and_puts_the_weights_back(model):
    text = torch.tensor([4, 5, 6, 7] * 20)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.inference_mode():
        plain, _ = read(model, text.clone())
        nats, reader = read(model, text, dynamic=DynamicEvaluation(learning_rate=1.0, decay=0.01))
        # The first window is scored before anything is learnt from it.
        torch.testing.assert_close(nats[:, :10], plain[:, :10])
        assert nats[:, 40:].mean() < plain[:, 40:].mean() - 0.1
        assert not torch.equal(
            model.state_dict()["decoder.embedding.weight"], before["decoder.embedding.weight"]
        )
        reader.restore()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_dynamic_evaluation_equals_its_definition(model, text):
    dynamic = DynamicEvaluation(learning_rate=0.5, decay=0.1, clip=0.2)
    by_hand = copy.deepcopy(model)
    trained = [each.detach().clone() for each in model.parameters()]
    state, expected = model.zero_state(1), []
    for start in range(0, 60, 20):
        reading, state = by_hand(text[None, start : start + 20], state)
        nats = by_hand.nats(reading, text[None, start + 1 : start + 21])[0]
        expected.append(nats.detach())
        state = tuple(part.detach() for part in state)
        by_hand.zero_grad()
        nats.mean().backward()
        norm = torch.nn.utils.clip_grad_norm_(by_hand.parameters(), 0.2)
        assert norm > 0.2, "else the clip does nothing"
        with torch.no_grad():
            for parameter, origin in zip(by_hand.parameters(), trained):
                if parameter.grad is None:  # the second bias of a layer, which stays zero
                    continue
                parameter -= 0.5 * parameter.grad
                parameter += 0.1 * (origin - parameter)
    found, _ = read(model, text, length=20, dynamic=dynamic)
    torch.testing.assert_close(found[0], torch.cat(expected))


def test_both_together(model):
    text = torch.tensor([4, 5, 6, 7] * 20)
    dynamic = DynamicEvaluation(learning_rate=1.0)
    alone, first = read(model, text, dynamic=dynamic)
    first.restore()
    both, _ = read(model, text, dynamic=dynamic, cache=NeuralCache(size=50, flatness=1.0))
    assert both.mean() < alone.mean()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: NeuralCache(size=-1),
        lambda: NeuralCache(share=1.0),
        lambda: DynamicEvaluation(learning_rate=-1.0),
        lambda: DynamicEvaluation(decay=1.0),
        lambda: DynamicEvaluation(clip=0.0),
    ],
)
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(InputError):
        wrong()
