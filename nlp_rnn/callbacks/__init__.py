"""Lightning callbacks."""

from nlp_rnn.callbacks.attention_maps import AttentionMaps
from nlp_rnn.callbacks.averaging import Averaging
from nlp_rnn.callbacks.best_checkpoint import BestCheckpoint
from nlp_rnn.callbacks.graceful_stop import GracefulStop
from nlp_rnn.callbacks.last_checkpoint import LastCheckpoint
from nlp_rnn.callbacks.patient_stopping import PatientStopping
from nlp_rnn.callbacks.resumed_settings import ResumedSettings

__all__ = [
    "AttentionMaps",
    "Averaging",
    "BestCheckpoint",
    "GracefulStop",
    "LastCheckpoint",
    "PatientStopping",
    "ResumedSettings",
]
