import math

import pytest
import torch

from nlp_rnn.modules.attention import HEADS, Attention

KINDS = ["dot", "general", "additive", "multi_head"]
N, Q, S, D = 3, 4, 6, 8
LENGTHS = torch.tensor([S, 1, 4])
MASK = torch.arange(S) < LENGTHS.unsqueeze(1)
all_kinds = pytest.mark.parametrize("kind", KINDS)


def build(kind, query_size=D):
    torch.manual_seed(0)
    return Attention(kind=kind, query_size=query_size, memory_size=D).double()


def draw(size=D, steps=Q):
    return torch.randn(N, steps, size, dtype=torch.float64)


def score(attention, q, k):
    """The published score of one query and one source position; k is not yet projected."""
    match attention.kind:
        case "dot":
            return q @ k
        case "general":
            return q @ attention.key.weight @ k
        case "additive":
            w, u, v = attention.query, attention.key, attention.energy
            return v.weight[0] @ torch.tanh(w.weight @ q + w.bias + u.weight @ k)


@pytest.mark.parametrize(
    ("kind", "query_size"), [("dot", D), ("general", D), ("general", 5), ("additive", 5)]
)
def test_is_its_equation(kind, query_size):
    attention = build(kind, query_size)
    queries, values = draw(query_size), draw(steps=S)
    contexts, weights = attention(queries, attention.memorize(values, MASK))
    for n in range(N):
        real = values[n, : LENGTHS[n]]
        for i in range(Q):
            scores = torch.stack([score(attention, queries[n, i], k) for k in real])
            expected = scores.exp() / scores.exp().sum()
            torch.testing.assert_close(weights[n, i, : LENGTHS[n]], expected)
            torch.testing.assert_close(contexts[n, i], expected @ real)


@pytest.mark.parametrize("query_size", [D, 5])
def test_multi_head_is_attention_side_by_side(query_size):
    attention = build("multi_head", query_size)
    queries, values = draw(query_size), draw(steps=S)
    contexts, weights = attention(queries, attention.memorize(values, MASK))
    width = D // HEADS
    for n in range(N):
        real, heads, mean = values[n, : LENGTHS[n]], [], 0
        for head in range(HEADS):
            rows = slice(head * width, (head + 1) * width)
            q = queries[n] @ attention.query.weight[rows].T + attention.query.bias[rows]
            k, v = real @ attention.key.weight[rows].T, real @ attention.value.weight[rows].T
            each = torch.softmax(q @ k.T / math.sqrt(width), 1)
            heads.append(each @ v)
            mean = mean + each / HEADS
        expected = torch.cat(heads, 1) @ attention.merge.weight.T
        torch.testing.assert_close(contexts[n], expected)
        torch.testing.assert_close(weights[n, :, : LENGTHS[n]], mean)


@all_kinds
def test_weights_sum_to_one_and_are_exactly_zero_on_padding(kind):
    attention = build(kind)
    _, weights = attention(100 * draw(), attention.memorize(draw(steps=S), MASK))
    torch.testing.assert_close(weights.sum(2), torch.ones(N, Q, dtype=torch.float64))
    assert (weights[~MASK.unsqueeze(1).expand_as(weights)] == 0).all()
    assert (weights[1, :, 0] == 1).all()  # one real token: nothing to choose


@all_kinds
def test_what_stands_at_padding_and_in_other_rows_changes_nothing(kind):
    attention = build(kind)
    queries, values = draw(), draw(steps=S)
    contexts, weights = attention(queries, attention.memorize(values, MASK))
    other = torch.where(MASK.unsqueeze(2), values, 1e6)
    torch.testing.assert_close(attention(queries, attention.memorize(other, MASK))[0], contexts)
    for n, length in enumerate(LENGTHS):
        alone = attention.memorize(values[n : n + 1, :length], MASK[n : n + 1, :length])
        context, weight = attention(queries[n : n + 1], alone)
        torch.testing.assert_close(context[0], contexts[n])
        torch.testing.assert_close(weight[0], weights[n, :, :length])


@all_kinds
def test_padding_gets_no_gradient(kind):
    attention, values = build(kind), draw(steps=S).requires_grad_()
    attention(draw(), attention.memorize(values, MASK))[0].square().sum().backward()
    assert (values.grad[~MASK] == 0).all()
    assert (values.grad[MASK] != 0).all()


@all_kinds
def test_queries_do_not_see_each_other(kind):
    attention, queries = build(kind), draw()
    memory = attention.memorize(draw(steps=S), MASK)
    contexts, weights = attention(queries, memory)
    for i in range(Q):
        context, weight = attention(queries[:, i : i + 1], memory)
        torch.testing.assert_close(context[:, 0], contexts[:, i])
        torch.testing.assert_close(weight[:, 0], weights[:, i])


@all_kinds
def test_the_order_of_the_source_does_not_matter(kind):
    attention, queries, values = build(kind), draw(), draw(steps=S)
    contexts, weights = attention(queries, attention.memorize(values, MASK))
    order = torch.randperm(S)
    moved, moved_weights = attention(queries, attention.memorize(values[:, order], MASK[:, order]))
    torch.testing.assert_close(moved, contexts)
    torch.testing.assert_close(moved_weights, weights[:, :, order])


@pytest.mark.parametrize("kind", KINDS[1:])  # dot has no parameters
def test_every_parameter_gets_a_gradient(kind):
    attention = build(kind)
    attention(draw(), attention.memorize(draw(steps=S), MASK))[0].square().sum().backward()
    for name, parameter in attention.named_parameters():
        assert parameter.grad.ne(0).any(), name


@all_kinds
def test_follows_device_and_dtype(kind):
    attention = build(kind).to("meta", torch.bfloat16)
    values = torch.ones(N, S, D, dtype=torch.bfloat16, device="meta")
    contexts, weights = attention(values, attention.memorize(values, MASK.to("meta")))
    assert contexts.is_meta
    assert weights.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("kind", "memory_size", "message"),
    [
        ("none", 5, "leave the module out"),
        ("dot", 8, "5 and 8"),
        ("multi_head", 6, "4 attention heads do not divide 6"),
        ("generel", 5, "generel"),
    ],
)
def test_what_does_not_fit_is_refused(kind, memory_size, message):
    with pytest.raises(ValueError, match=message):
        Attention(kind=kind, query_size=5, memory_size=memory_size)


@all_kinds
def test_keeps_nothing_between_calls(kind):
    attention, queries = build(kind), draw()
    memory = attention.memorize(draw(steps=S), MASK)
    contexts, _ = attention(queries, memory)
    attention(draw(), attention.memorize(draw(steps=S), MASK))
    torch.testing.assert_close(attention(queries, memory)[0], contexts)
