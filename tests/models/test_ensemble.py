import pytest
import torch

from nlp_rnn.data.batching import pad
from nlp_rnn.data.tokenizer import BOS, EOS
from nlp_rnn.models.ensemble import Ensemble

SOURCE, LENGTHS = pad([[5, 6, 7, EOS], [8, EOS]])
TARGET, _ = pad([[BOS, 9, 8, 7, EOS], [BOS, 6, EOS]])


def members(make_network):
    """Networks that differ in the number of state tensors and in whether they attend."""
    return [
        make_network(seed=0, cell="gru").eval(),
        make_network(seed=1, cell="lstm", decoder="input_feeding").eval(),
        make_network(seed=2, cell="lstm", attention="none").eval(),
    ]


@torch.no_grad()
def spell(model, tokens):
    """Log-probabilities (N, T, V) of feeding the tokens (N, T) one at a time."""
    state, memory = model.encode(SOURCE, LENGTHS)
    state = tuple(part.unsqueeze(1) for part in state)
    steps = []
    for column in tokens.split(1, dim=1):
        logits, state = model.step(column, state, memory)
        steps.append(logits.log_softmax(-1))
    return torch.cat(steps, 1)


def test_probabilities_are_averaged_at_every_step(make_network):
    networks = members(make_network)
    expected = torch.stack([spell(each, TARGET).exp() for each in networks]).mean(0)
    torch.testing.assert_close(spell(Ensemble(networks), TARGET).exp(), expected)


def test_one_member_is_itself(make_network):
    for network in members(make_network):
        torch.testing.assert_close(spell(Ensemble([network]), TARGET), spell(network, TARGET))
        one, alone = (
            each.score(SOURCE, LENGTHS, TARGET)[0] for each in (Ensemble([network]), network)
        )
        torch.testing.assert_close(one, alone)


@torch.no_grad()
def test_score_is_what_the_steps_say(make_network):
    ensemble = Ensemble(members(make_network))
    log_probs, weights = ensemble.score(SOURCE, LENGTHS, TARGET)
    following = TARGET[:, 1:]
    steps = spell(ensemble, TARGET[:, :-1]).gather(2, following.unsqueeze(2)).squeeze(2)
    torch.testing.assert_close(log_probs, steps.masked_fill(following == 0, 0.0))
    torch.testing.assert_close(weights.sum(2), torch.ones(TARGET.size(0), TARGET.size(1) - 1))


@torch.no_grad()
def test_attention_is_that_of_the_members_that_attend(make_network):
    attending, other, plain = members(make_network)
    _, weights = Ensemble([attending, plain]).score(SOURCE, LENGTHS, TARGET)
    torch.testing.assert_close(weights, attending.score(SOURCE, LENGTHS, TARGET)[1])
    assert Ensemble([plain, plain]).score(SOURCE, LENGTHS, TARGET)[1] is None
    each = [network.score(SOURCE, LENGTHS, TARGET)[1] for network in (attending, other)]
    _, weights = Ensemble([attending, other]).score(SOURCE, LENGTHS, TARGET)
    torch.testing.assert_close(weights, (each[0] + each[1]) / 2)


def test_every_member_moves_and_trains_with_it(make_network):
    networks = members(make_network)
    ensemble = Ensemble(networks)
    owned = {id(each) for each in ensemble.parameters()}
    assert all(id(each) in owned for network in networks for each in network.parameters())
    ensemble.train()
    assert all(network.training for network in networks)
    ensemble.to("meta")
    assert {each.device.type for network in networks for each in network.parameters()} == {"meta"}


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 0, 1)])
def test_the_order_of_members_changes_nothing(make_network, order):
    networks = members(make_network)
    torch.testing.assert_close(
        spell(Ensemble([networks[place] for place in order]), TARGET),
        spell(Ensemble(networks), TARGET),
    )
