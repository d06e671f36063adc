import copy
import logging
import warnings
from types import SimpleNamespace

import torch
from lightning.pytorch.loggers import TensorBoardLogger

from nlp_rnn.callbacks import AttentionMaps
from nlp_rnn.inference import Translator


def test_draws_a_few_sentences_and_changes_nothing(
    tmp_path, network, make_network, tokenizer
) -> None:
    network = copy.deepcopy(network).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    board = TensorBoardLogger(tmp_path)
    drawn = {}
    board.experiment.add_figure = lambda name, figure, step: drawn.update({name: figure})
    trainer = SimpleNamespace(
        loggers=[board], sanity_checking=False, is_global_zero=True, global_step=7
    )
    module = SimpleNamespace(translator=Translator([network], tokenizer, tokenizer))
    batch = SimpleNamespace(sources=["", "one two", "three", "four five", "six"])
    AttentionMaps(count=2).on_validation_batch_end(trainer, module, None, batch, batch_idx=0)
    assert sorted(drawn) == ["attention/0", "attention/1"]
    drawn.clear()
    AttentionMaps(count=2).on_validation_batch_end(trainer, module, None, batch, batch_idx=1)
    assert not drawn
    plain = make_network(attention="none")
    module.translator = Translator([plain], tokenizer, tokenizer)
    AttentionMaps(count=2).on_validation_batch_end(trainer, module, None, batch, batch_idx=0)
    assert not drawn
    assert network.training
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_a_picture_of_long_sentences_is_no_larger_than_a_screen(
    tmp_path, network, tokenizer, monkeypatch
) -> None:
    board = TensorBoardLogger(tmp_path)
    drawn = []
    monkeypatch.setattr(board.experiment, "add_figure", lambda _, figure, __: drawn.append(figure))
    trainer = SimpleNamespace(
        loggers=[board], sanity_checking=False, is_global_zero=True, global_step=7
    )
    module = SimpleNamespace(translator=Translator([network], tokenizer, tokenizer))
    batch = SimpleNamespace(sources=["red dog " * 40, "red dog"])
    AttentionMaps().on_validation_batch_end(trainer, module, None, batch, batch_idx=0)
    sizes = [figure.get_size_inches() * figure.dpi for figure in drawn]
    assert max(sizes[0]) <= 2000.5
    assert drawn[1].dpi == 100


def test_a_missing_font_is_said_once(tmp_path, network, tokenizer, caplog, monkeypatch) -> None:
    monkeypatch.setattr("nlp_rnn.explain.fonts._candidates", lambda: iter(()))
    board = TensorBoardLogger(tmp_path)
    trainer = SimpleNamespace(
        loggers=[board], sanity_checking=False, is_global_zero=True, global_step=7
    )
    module = SimpleNamespace(translator=Translator([network], tokenizer, tokenizer))
    batch = SimpleNamespace(sources=["red dog", "car"])
    callback = AttentionMaps()
    with warnings.catch_warnings(), caplog.at_level(logging.INFO):
        warnings.simplefilter("error")
        for _ in range(2):
            callback.on_validation_batch_end(trainer, module, None, batch, batch_idx=0)
    assert [line for line in caplog.messages if "no installed font" in line] == caplog.messages
    assert len(caplog.messages) == 1
