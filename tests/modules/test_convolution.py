import pytest
import torch

from nlp_rnn.errors import InputError
from nlp_rnn.modules.convolution import CHARACTERS, CausalConvolution, CharacterCNN, spellings


@pytest.mark.parametrize("width", [1, 3])
def test_reads_on_and_never_ahead(width):
    convolution = CausalConvolution(4, width)
    inputs = torch.randn(2, 9, 4)
    whole, _ = convolution(inputs)
    assert whole.shape == inputs.shape
    tail, parts = None, []
    for part in inputs.split([2, 1, 6], 1):
        outputs, tail = convolution(part, tail)
        parts.append(outputs)
    torch.testing.assert_close(torch.cat(parts, 1), whole)
    padded = torch.nn.functional.pad(inputs, (0, 0, width - 1, 0))
    weight, bias = convolution.kernel.weight, convolution.kernel.bias
    steps = [torch.einsum("nwe,oew->no", padded[:, t : t + width], weight) for t in range(9)]
    torch.testing.assert_close(whole, (torch.stack(steps, 1) + bias).relu())
    assert whole.eq(0).any()
    changed = inputs.clone()
    changed[:, 5:] += 1
    torch.testing.assert_close(convolution(changed)[0][:, :5], whole[:, :5])


def test_sees_as_many_words_as_it_is_wide():
    convolution = CausalConvolution(4, 3)
    torch.nn.init.constant_(convolution.kernel.bias, 10.0)  # no feature is cut off by the ReLU
    inputs = torch.randn(1, 9, 4, requires_grad=True)
    convolution(inputs)[0][0, 6].sum().backward()
    touched = inputs.grad[0].abs().sum(1) > 0
    assert touched.nonzero().flatten().tolist() == [4, 5, 6]


def test_tokens_of_one_spelling_have_one_vector():
    network = CharacterCNN(5, 6)
    network.spellings.copy_(spellings(["<pad>", "good", "goods", "good", "☃"]))
    vectors = network(torch.tensor([[1, 2], [3, 4]]))
    assert vectors.shape == (2, 2, 6)
    torch.testing.assert_close(vectors[0, 0], vectors[1, 0])
    assert not torch.allclose(vectors[0, 0], vectors[0, 1])


def test_spellings_are_marked_and_cut():
    table = spellings(["ab", "x" * 50, "☃", "привет", "собака"])
    assert table[0, :5].tolist() == [1, ord("a"), ord("b"), 2, 0]
    assert table[1].tolist() == [1, *[ord("x")] * 14, 2]
    assert 3 <= table[2, 1] < CHARACTERS
    assert table[2, [0, 2]].tolist() == [1, 2]
    assert not torch.equal(table[3], table[4])


def test_spellings_are_saved_with_the_weights():
    network = CharacterCNN(2, 3)
    network.spellings.copy_(spellings(["a", "b"]))
    other = CharacterCNN(2, 3)
    other.load_state_dict(network.state_dict())
    torch.testing.assert_close(other(torch.tensor([[0, 1]])), network(torch.tensor([[0, 1]])))


def test_wrong_sizes_are_refused():
    with pytest.raises(InputError, match="divisible by 3"):
        CharacterCNN(5, 7)
    with pytest.raises(InputError, match="kernel"):
        CausalConvolution(4, -1)
