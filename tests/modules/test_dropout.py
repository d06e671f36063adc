import copy

import pytest
import torch
from torch import nn

from nlp_rnn.errors import InputError
from nlp_rnn.modules.dropout import LockedDropout, TypeDropout, WeightDropout, WordDropout

BOTH = pytest.mark.parametrize("dropout_class", [LockedDropout, WordDropout])


def test_locked_mask_is_one_for_all_steps_and_differs_between_rows():
    dropped = LockedDropout(0.5)(torch.ones(8, 5, 32))
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert len({tuple(row.tolist()) for row in dropped[:, 0]}) == 8


def test_word_dropout_blanks_whole_words():
    dropped = WordDropout(0.5)(torch.ones(8, 32, 5))
    assert torch.equal(dropped, dropped[..., :1].expand_as(dropped))
    assert len({tuple(row.tolist()) for row in dropped[..., 0]}) == 8


@BOTH
def test_expectation_is_kept(dropout_class):
    dropped = dropout_class(0.25)(torch.full((100, 100, 100), 3.0))
    assert set(dropped.unique().tolist()) == {0.0, 4.0}
    assert dropped.mean().item() == pytest.approx(3.0, abs=0.15)


@BOTH
def test_draws_a_new_mask_each_time(dropout_class):
    dropout, inputs = dropout_class(0.5), torch.ones(4, 16, 16)
    assert not torch.equal(dropout(inputs), dropout(inputs))


@BOTH
def test_is_off_in_eval_and_at_zero(dropout_class):
    inputs = torch.randn(2, 3, 4)
    assert dropout_class(0.5).eval()(inputs) is inputs
    assert dropout_class(0.0)(inputs) is inputs


@BOTH
def test_gradient_passes_where_the_input_did(dropout_class):
    inputs = torch.ones(4, 8, 8, requires_grad=True)
    dropped = dropout_class(0.5)(inputs)
    dropped.sum().backward()
    torch.testing.assert_close(inputs.grad, dropped)


@BOTH
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_follows_dtype_and_device(dropout_class, dtype):
    dropped = dropout_class(0.5)(torch.ones(2, 3, 4, dtype=dtype, device="meta"))
    assert dropped.dtype == dtype
    assert dropped.is_meta


def test_type_dropout_blanks_a_word_everywhere_in_the_batch():
    tokens = torch.arange(20).repeat(6, 1)
    dropped = TypeDropout(0.5)(torch.ones(6, 20, 3), tokens, 20)
    assert torch.equal(dropped, dropped[:1, :, :1].expand_as(dropped))
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    inputs = torch.ones(6, 20, 3)
    assert TypeDropout(0.5).eval()(inputs, tokens, 20) is inputs


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_weight_dropout_really_drops_recurrent_weights(kind):
    layer, inputs = kind(5, 16, batch_first=True), torch.randn(3, 6, 5)
    dropout = WeightDropout(0.5)
    whole = layer(inputs)[0]
    first, second = dropout(layer, inputs, None)[0], dropout(layer, inputs, None)[0]
    # The first step has no state yet, so no recurrent weight counts in it.
    torch.testing.assert_close(first[:, 0], whole[:, 0])
    for read, other in [(first, whole), (second, whole), (first, second)]:
        assert not torch.allclose(read[:, 1:], other[:, 1:])
    assert torch.equal(dropout.eval()(layer, inputs, None)[0], whole)


@pytest.mark.parametrize(("p", "size"), [(0.5, 16), (0.2, 15)])
def test_weight_dropout_equals_a_layer_without_the_weights_that_get_no_gradient(p, size):
    layer, inputs = nn.LSTM(5, size, batch_first=True), torch.randn(3, 6, 5)
    found = WeightDropout(p)(layer, inputs, None)[0]
    found.sum().backward()
    masked = copy.deepcopy(layer)
    kept = layer.weight_hh_l0.grad != 0
    with torch.no_grad():
        masked.weight_hh_l0.copy_(layer.weight_hh_l0 * kept / (1 - p))
    torch.testing.assert_close(found, masked(inputs)[0])
    assert kept.float().mean().item() == pytest.approx(1 - p, abs=0.06)


def test_weight_dropout_may_drop_nearly_all():
    layer = nn.LSTM(5, 16, batch_first=True)
    WeightDropout(1 - 1e-9)(layer, torch.randn(3, 6, 5), None)[0].sum().backward()
    assert (layer.weight_hh_l0.grad == 0).float().mean().item() > 0.99


def test_weight_dropout_leaves_the_mean_as_it_is():
    layer = nn.RNN(1, 300, batch_first=True, bias=False)
    with torch.no_grad():
        layer.weight_ih_l0.fill_(0)
        layer.weight_hh_l0.fill_(1 / 300)
    state = torch.full((1, 1, 300), 0.01)  # where tanh is a line
    found, _ = WeightDropout(0.2)(layer, torch.zeros(1, 1, 1), state)
    assert found.mean().item() == pytest.approx(0.01, rel=0.01)


@pytest.mark.parametrize("kind", [LockedDropout, TypeDropout, WeightDropout, WordDropout])
@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5, float("nan")])
def test_what_is_no_share_is_refused(kind, p):
    with pytest.raises(InputError, match=f"dropout {p} is out of range"):
        kind(p)
