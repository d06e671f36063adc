import math

import pytest

from nlp_rnn.perplexity import TextSize, perplexities


def test_one_likelihood_in_four_units():
    found = perplexities(100 * math.log(8), 100, TextSize(words=50, characters=300, bytes=600))
    assert found == pytest.approx(
        {
            "token_perplexity": 8,
            "word_perplexity": 64,
            "bits_per_character": 1,
            "bits_per_byte": 0.5,
        }
    )
