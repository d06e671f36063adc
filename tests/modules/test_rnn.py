# ruff: noqa: N806 - matrices keep the names of the textbook
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nlp_rnn.modules.rnn import RNN

CELLS = ["rnn_tanh", "rnn_relu", "gru", "lstm"]
N, T, E, H = 3, 5, 4, 6
all_cells = pytest.mark.parametrize("cell", CELLS)


def build(**arguments):
    torch.manual_seed(0)
    rnn = RNN(**{"input_size": E, "hidden_size": H, **arguments}).double()
    for parameter in rnn.parameters():  # biases that are not zero would hide in the equations
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.5)
    return rnn


def sequences(features=E):
    return torch.randn(N, T, features, dtype=torch.float64)


def start(rnn):
    return tuple(torch.randn_like(part) for part in rnn.zero_state(sequences()))


@pytest.mark.parametrize(
    ("cell", "f", "slope"),
    [
        ("rnn_tanh", torch.tanh, lambda h: 1 - h**2),
        ("rnn_relu", torch.relu, lambda h: (h > 0).double()),
    ],
)
def test_vanilla_cell_is_the_textbook_forward_and_backward_through_time(cell, f, slope):
    rnn, head = build(cell=cell), nn.Linear(H, 7).double()
    inputs, (h_0,) = sequences().requires_grad_(), start(rnn)
    gold = torch.randint(7, (N, T))
    layer = rnn.layers[0]
    W_xh, W_hh, b_h = layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0
    W_hy, b_y = head.weight, head.bias

    outputs, (state,) = rnn(inputs, (h_0,))
    loss = F.cross_entropy(head(outputs).flatten(0, 1), gold.flatten(), reduction="sum")
    loss.backward()

    with torch.no_grad():
        # Forward: h_t = f(W_xh x_t + W_hh h_{t-1} + b_h), y_t = softmax(W_hy h_t + b_y).
        h, y = [h_0[:, 0]], []
        for t in range(T):
            h.append(f(inputs[:, t] @ W_xh.T + h[-1] @ W_hh.T + b_h))
            y.append(torch.softmax(h[-1] @ W_hy.T + b_y, 1))
        torch.testing.assert_close(outputs, torch.stack(h[1:], 1))
        torch.testing.assert_close(state[:, 0], h[-1])

        # Backward: what reaches h_t comes from y_t and from h_{t+1}.
        dW_xh, dW_hh, dW_hy = map(torch.zeros_like, (W_xh, W_hh, W_hy))
        db_h, db_y = torch.zeros_like(b_h), torch.zeros_like(b_y)
        dx, from_later = torch.zeros_like(inputs), torch.zeros(N, H, dtype=torch.float64)
        for t in reversed(range(T)):
            dy = y[t] - F.one_hot(gold[:, t], 7)  # softmax and cross entropy together
            dW_hy += dy.T @ h[t + 1]
            db_y += dy.sum(0)
            da = (dy @ W_hy + from_later) * slope(h[t + 1])
            dW_xh += da.T @ inputs[:, t]
            dW_hh += da.T @ h[t]
            db_h += da.sum(0)
            dx[:, t] = da @ W_xh
            from_later = da @ W_hh
    by_hand = [dW_xh, dW_hh, db_h, dW_hy, db_y, dx]
    for leaf, gradient in zip([W_xh, W_hh, b_h, W_hy, b_y, inputs], by_hand):
        torch.testing.assert_close(leaf.grad, gradient)


def test_lstm_is_its_equations():
    rnn = build(cell="lstm")
    inputs, (h_0, c_0) = sequences(), start(rnn)
    layer = rnn.layers[0]
    h, c, expected = h_0[:, 0], c_0[:, 0], []
    for x in inputs.unbind(1):
        gates = x @ layer.weight_ih_l0.T + h @ layer.weight_hh_l0.T + layer.bias_ih_l0
        i, f, g, o = gates.chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        expected.append(h)
    outputs, state = rnn(inputs, (h_0, c_0))
    torch.testing.assert_close(outputs, torch.stack(expected, 1))
    torch.testing.assert_close(state, (h.unsqueeze(1), c.unsqueeze(1)))


def test_gru_is_its_equations():
    rnn = build(cell="gru")
    inputs, (h_0,) = sequences(), start(rnn)
    layer = rnn.layers[0]
    h, expected = h_0[:, 0], []
    for x in inputs.unbind(1):
        x_r, x_z, x_n = (x @ layer.weight_ih_l0.T + layer.bias_ih_l0).chunk(3, 1)
        h_r, h_z, h_n = (h @ layer.weight_hh_l0.T + layer.bias_hh_l0).chunk(3, 1)
        r, z = (x_r + h_r).sigmoid(), (x_z + h_z).sigmoid()
        h = (1 - z) * (x_n + r * h_n).tanh() + z * h  # the reset gate after the matrix product
        expected.append(h)
    outputs, (state,) = rnn(inputs, (h_0,))
    torch.testing.assert_close(outputs, torch.stack(expected, 1))
    torch.testing.assert_close(state[:, 0], h)


@all_cells
def test_one_bias_is_enough_where_two_only_add_up(cell):
    rnn = RNN(input_size=E, hidden_size=H, num_layers=2, cell=cell)
    outputs, _ = rnn(torch.randn(N, T, E))
    outputs.square().sum().backward()
    optimizer = torch.optim.AdamW(rnn.parameters(), lr=0.1)
    optimizer.step()
    for layer in rnn.layers:
        assert layer.bias_ih_l0.grad.ne(0).any()
        second = layer.bias_hh_l0
        assert second.requires_grad == (cell == "gru")
        assert cell == "gru" or (second == 0).all()


@all_cells
@pytest.mark.parametrize("cut", range(1, T))
def test_a_state_carried_over_equals_one_pass(cell, cut):
    rnn = build(cell=cell, num_layers=2)
    inputs, before = sequences(), start(rnn)
    whole, after = rnn(inputs, before)
    first, between = rnn(inputs[:, :cut], before)
    second, end = rnn(inputs[:, cut:], between)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    torch.testing.assert_close(end, after)


@pytest.mark.parametrize("autocast", [False, True])
def test_single_steps_of_an_lstm_are_one_pass(autocast):
    rnn = build(cell="lstm", num_layers=2).float()
    inputs, before = sequences().float(), tuple(part.float() for part in start(rnn))
    whole, after = rnn(inputs, before)  # not every CPU has a fused LSTM in bf16
    state, outputs = before, []
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        for step in inputs.split(1, 1):
            output, state = rnn(step, state)
            outputs.append(output.float())
    tolerance = {"rtol": 0.05, "atol": 0.05} if autocast else {}
    torch.testing.assert_close(torch.cat(outputs, 1), whole, **tolerance)
    for one, many in zip(state, after):
        torch.testing.assert_close(one.float(), many, **tolerance)


@all_cells
def test_recurrent_weights_are_dropped_in_a_single_step_too(cell):
    rnn, inputs = build(cell=cell, weight_dropout=0.5), sequences()[:, :1]
    before = start(rnn)
    dropped = rnn(inputs, before)[0]
    assert not torch.allclose(dropped, rnn(inputs, before)[0])
    assert not torch.allclose(dropped, rnn.eval()(inputs, before)[0])


@all_cells
def test_state_is_batch_first_and_zero_at_the_start(cell):
    rnn = build(cell=cell, num_layers=3)
    inputs = sequences()
    zeros = rnn.zero_state(inputs)
    assert len(zeros) == (2 if cell == "lstm" else 1)
    outputs, state = rnn(inputs)
    torch.testing.assert_close((outputs, state), rnn(inputs, zeros))
    assert all(part.shape == (N, 3, H) for part in (*zeros, *state))
    torch.testing.assert_close(state[0][:, -1], outputs[:, -1])
    order = [2, 0, 1]  # what a search does to its beams
    shuffled, _ = rnn(inputs[order], tuple(part[order] for part in zeros))
    torch.testing.assert_close(shuffled, outputs[order])


@all_cells
def test_a_stack_is_one_layer_on_another(cell):
    rnn = build(cell=cell, num_layers=2, layer_norm=True, residual=True)
    inputs = sequences()
    lower = rnn.norms[0](rnn.layers[0](inputs)[0])  # E is not H: nothing to add
    upper = lower + rnn.norms[1](rnn.layers[1](lower)[0])
    torch.testing.assert_close(rnn(inputs)[0], upper)


def test_dropout_lies_between_the_layers_and_rests_in_eval():
    inputs = sequences()
    single = build(dropout=0.9)
    torch.testing.assert_close(single.train()(inputs), single.eval()(inputs))
    double = build(num_layers=2, dropout=0.5)
    dropped, kept = double.train()(inputs)[0], double.eval()(inputs)[0]
    assert not torch.allclose(dropped, kept)
    torch.testing.assert_close(kept, build(num_layers=2)(inputs)[0])


@all_cells
def test_recurrent_matrices_start_by_keeping_lengths(cell):
    rnn = RNN(input_size=E, hidden_size=H, cell=cell)
    for gate in rnn.layers[0].weight_hh_l0.split(H):
        torch.testing.assert_close(gate @ gate.T, torch.eye(H))
        assert cell != "rnn_relu" or torch.equal(gate, torch.eye(H))


def test_lstm_starts_by_remembering():
    bias = RNN(input_size=E, hidden_size=H, cell="lstm").layers[0].bias_ih_l0
    assert (bias[H : 2 * H] == 1).all()
    assert bias.count_nonzero() == H


@all_cells
def test_every_parameter_gets_a_gradient(cell):
    rnn = build(cell=cell, num_layers=2, layer_norm=True)
    rnn(sequences())[0].square().sum().backward()
    for name, parameter in rnn.named_parameters():
        assert not parameter.requires_grad or parameter.grad.ne(0).any(), name


@all_cells
def test_follows_the_device_of_its_inputs(cell):
    with torch.device("meta"):
        rnn = RNN(input_size=E, hidden_size=H, num_layers=2, cell=cell)
    outputs, state = rnn(torch.randn(N, T, E, device="meta"))
    assert all(part.is_meta for part in (outputs, *state))


def test_unknown_cell_is_refused():
    with pytest.raises(ValueError, match="sru"):
        RNN(input_size=E, hidden_size=H, cell="sru")
