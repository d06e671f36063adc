import pytest
import torch

from nlp_rnn.modules.bridge import Bridge
from nlp_rnn.modules.rnn import RNN

CELLS = ["rnn_tanh", "rnn_relu", "gru", "lstm"]


@pytest.mark.parametrize("cell", CELLS)
def test_gives_a_state_that_the_decoder_can_start_from(cell):
    bridge = Bridge(memory_size=6, hidden_size=4, num_layers=3, cell=cell)
    state = bridge(torch.randn(2, 6))
    rnn = RNN(input_size=5, hidden_size=4, num_layers=3, cell=cell)
    assert [part.shape for part in state] == [part.shape for part in rnn.zero_state(torch.ones(2))]
    rnn(torch.randn(2, 1, 5), state)


@pytest.mark.parametrize("cell", CELLS)
def test_is_a_tanh_layer_for_each_tensor_and_decoder_layer(cell):
    bridge = Bridge(memory_size=6, hidden_size=4, num_layers=3, cell=cell).double()
    summary = torch.randn(2, 6, dtype=torch.float64)
    for tensor, part in zip(bridge(summary), bridge.parts, strict=True):
        for layer in range(3):
            rows = slice(4 * layer, 4 * layer + 4)
            expected = torch.tanh(summary @ part.weight[rows].T + part.bias[rows])
            torch.testing.assert_close(tensor[:, layer], expected)
