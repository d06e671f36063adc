from lightning.pytorch.callbacks import EarlyStopping

from nlp_rnn.callbacks import PatientStopping


def test_patience_given_on_the_way_holds():
    before = PatientStopping(monitor="val_loss", patience=2)
    before.wait_count = 2
    after = PatientStopping(monitor="val_loss", patience=7)
    assert after.state_key == EarlyStopping(monitor="val_loss").state_key
    after.load_state_dict(before.state_dict())
    assert (after.patience, after.wait_count) == (7, 2)
