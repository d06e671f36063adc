import pytest
import torch
from torch import nn

from nlp_rnn.models.classifier import Classifier
from nlp_rnn.tasks.classify.adversarial import adversarial_nats
from nlp_rnn.tasks.classify.loss import LabelLoss

TOKENS = torch.tensor([[4, 5, 6, 7], [8, 4, 0, 0]])
LENGTHS = torch.tensor([4, 2])


def costs(network, tokens=TOKENS):
    targets = torch.tensor([0, 2])
    return lambda: LabelLoss().of_one(network(tokens, LENGTHS), targets, None)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Classifier(vocab_size=9, embedding_size=6, hidden_size=8).eval()


def test_a_cost_that_is_linear_in_the_embeddings_rises_by_the_gradients_length():
    embedding, slope = nn.Embedding(9, 3), torch.randn(2, 4, 3)

    def read():
        return (embedding(TOKENS) * slope).sum((1, 2))

    nats = adversarial_nats(read, [embedding], 0.5)
    torch.testing.assert_close(nats, read() + 0.5 * slope.flatten(1).norm(dim=1) / 2)


def test_the_gradient_takes_the_shift_as_a_constant():
    embedding = nn.Embedding(9, 3)
    nats = adversarial_nats(lambda: (embedding(TOKENS) ** 2).sum((1, 2)) / 2, [embedding], 0.5)
    nats.sum().backward()
    vectors = embedding(TOKENS).detach()  # the gradient of half a square; r is along it
    shift = 0.5 * vectors / vectors.flatten(1).norm(dim=1).view(-1, 1, 1)
    expected = torch.zeros_like(embedding.weight)
    expected.index_add_(0, TOKENS.flatten(), (vectors + shift / 2).flatten(0, 1))
    torch.testing.assert_close(embedding.weight.grad, expected)


@pytest.mark.parametrize("directions", ["both", "forward", "apart"])
def test_every_text_costs_more_and_the_network_stays_as_it_was(directions):
    torch.manual_seed(0)
    network = Classifier(
        vocab_size=9, embedding_size=6, hidden_size=8, directions=directions, characters=3
    ).eval()
    read = costs(network)
    before = read()
    embeddings = [reader.encoder.embedding for reader in network.readers]
    assert (adversarial_nats(read, embeddings, 0.1) > before).all()
    assert torch.equal(read(), before)


def test_padding_takes_no_part(network):
    embeddings = [network.reader.encoder.embedding]
    padded = torch.cat([TOKENS, torch.zeros(2, 3, dtype=torch.long)], 1)
    torch.testing.assert_close(
        adversarial_nats(costs(network, padded), embeddings, 1.0),
        adversarial_nats(costs(network), embeddings, 1.0),
    )


def test_frozen_embeddings_are_moved_too(network):
    embedding = network.reader.encoder.embedding
    expected = adversarial_nats(costs(network), [embedding], 1.0)
    embedding.weight.requires_grad_(False)
    nats = adversarial_nats(costs(network), [embedding], 1.0)
    torch.testing.assert_close(nats, expected)
    nats.sum().backward()
    assert embedding.weight.grad is None
    assert network.head[-1].weight.grad is not None


def test_a_gradient_of_zero_moves_nothing():
    embedding = nn.Embedding(9, 3)
    nats = adversarial_nats(lambda: 0 * embedding(TOKENS).sum((1, 2)), [embedding], 1.0)
    assert torch.equal(nats, torch.zeros(2))
