from types import SimpleNamespace

import pytest

from nlp_rnn.tasks.language_model.data import LanguageModelData


@pytest.mark.parametrize("overfits", [False, True])
def test_overfitting_sees_the_same_windows_in_every_epoch(tmp_path, overfits):
    (tmp_path / "train.txt").write_text("the cat saw a dog and ran\n" * 50)
    data = LanguageModelData(
        dataset=str(tmp_path / "train.txt"),
        tokenizer="word",
        vocab_size=11,
        batch_size=2,
        window=[4, 16],
    )
    data.trainer = SimpleNamespace(
        training=True, global_rank=0, world_size=1, overfit_batches=2 * overfits
    )
    data.prepare_data()
    loader, seen = data.train_dataloader(), []
    for epoch in range(4):
        loader.batch_sampler.set_epoch(epoch)
        seen.append([window.inputs.size(1) for window in loader])
    assert all(each == seen[0] for each in seen) == overfits
