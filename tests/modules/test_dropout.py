import pytest
import torch

from nlp_rnn.modules.dropout import LockedDropout, WordDropout

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
