import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nlp_rnn.modules.rnn import RNN
from nlp_rnn.modules.textbook import TextbookRNN, generate, train

N, T, E, H, V = 3, 6, 4, 5, 7


def build(**arguments):
    torch.manual_seed(0)
    return TextbookRNN(**{"input_size": E, "hidden_size": H, "output_size": V, **arguments})


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_equals_the_fused_layer_with_the_same_weights(nonlinearity):
    network = build(nonlinearity=nonlinearity).double()
    nn.init.normal_(network.b_h)
    nn.init.normal_(network.b_y)
    rnn = RNN(input_size=E, hidden_size=H, cell=f"rnn_{nonlinearity}").double()
    layer = rnn.layers[0]
    layer.weight_ih_l0.data = network.W_xh.data
    layer.weight_hh_l0.data = network.W_hh.data
    layer.bias_ih_l0.data = network.b_h.data
    inputs = torch.randn(N, T, E, dtype=torch.float64)
    outputs, _ = rnn(inputs)
    expected = F.linear(outputs, network.W_hy, network.b_y).log_softmax(2)
    h = network.init_hidden(N)
    for t in range(T):
        y_t, h = network(inputs[:, t], h)
        torch.testing.assert_close(h, outputs[:, t])
        torch.testing.assert_close(y_t, expected[:, t])


def test_starts_from_zeros():
    network = build().double()
    assert torch.equal(network.init_hidden(N), torch.zeros(N, H, dtype=torch.float64))
    assert network.init_hidden().shape == (1, H)


class Printed(nn.Module):
    """The commonly printed network, with the tanh that it lacks."""

    def __init__(self):
        super().__init__()
        self.i2h, self.i2o = nn.Linear(E + H, H), nn.Linear(E + H, V)

    def forward(self, x, hidden):
        combined = torch.cat((x, hidden), 1)
        return self.i2o(combined).log_softmax(1), torch.tanh(self.i2h(combined))


def interaction(network):
    """How far x_t changes the scores by another amount after another past."""
    torch.manual_seed(1)
    (x, other_x), (h, other_h) = torch.randn(2, N, E), torch.randn(2, N, H)

    def differences(h):
        scores = network(x, h)[0] - network(other_x, h)[0]
        return scores - scores[:, :1]  # without the constant that normalises

    return (differences(h) - differences(other_h)).abs().max().item()


def test_the_newest_symbol_is_read_in_the_light_of_the_past():
    torch.manual_seed(0)
    assert interaction(Printed()) < 1e-5
    assert interaction(build()) > 0.1


def test_training_lowers_the_loss_and_gradients_are_clipped(monkeypatch):
    text = torch.tensor([0, 1, 2, 1, 0, 3] * 40)
    norms, clip = [], nn.utils.clip_grad_norm_
    monkeypatch.setattr(
        nn.utils,
        "clip_grad_norm_",
        lambda parameters, max_norm: norms.append(clip(parameters, max_norm)),
    )
    network = build(input_size=4, output_size=4, hidden_size=16)
    bits = list(train(network, text, updates=60, batch_size=4, length=10))
    assert len(bits) == len(norms) == 60
    assert bits[0] > 1
    assert bits[-1] < 0.1  # what follows 1 depends on what came before it
    assert generate(network, first=0, length=13) == [0, 1, 2, 1, 0, 3] * 2 + [0]


def test_reports_bits_per_symbol():
    network = build(input_size=4, output_size=4)
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    text = torch.randint(4, (100,))
    assert next(train(network, text, updates=1, batch_size=2, length=5)) == pytest.approx(2)
