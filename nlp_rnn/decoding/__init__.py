"""Search: beams (a single one is greedy) and sampling, as pure functions over one `step`."""

from nlp_rnn.decoding.beam import beam_search
from nlp_rnn.decoding.protocol import Hypothesis, Step
from nlp_rnn.decoding.sampling import sample, seeded, stream
from nlp_rnn.decoding.truncation import Draw

__all__ = ["Draw", "Hypothesis", "Step", "beam_search", "sample", "seeded", "stream"]
