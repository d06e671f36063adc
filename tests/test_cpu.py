import pytest
import torch

from nlp_rnn.cpu import cpu_flags, has_bf16, runs_bf16_lstm, tune_cpu


def test_products_stay_accurate():
    torch.set_float32_matmul_precision("highest")
    tune_cpu()
    left, right = torch.randn(2, 300, 300)
    exact = left.double() @ right.double()
    assert (left @ right - exact).abs().max() / exact.abs().max() < 1e-5


def test_a_choice_that_was_made_is_kept():
    torch.set_float32_matmul_precision("high")
    tune_cpu()
    assert torch.get_float32_matmul_precision() == "high"


def test_what_would_round_to_bf16_is_not_used(monkeypatch):
    monkeypatch.setattr("nlp_rnn.cpu._product_error", lambda: 1e-3)
    torch.set_float32_matmul_precision("highest")
    tune_cpu()
    assert torch.get_float32_matmul_precision() == "highest"


def test_on_a_cuda_device_products_stay_exact(monkeypatch):
    monkeypatch.setattr("nlp_rnn.cpu._product_error", lambda: 0.0)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    torch.set_float32_matmul_precision("highest")
    tune_cpu()
    assert torch.get_float32_matmul_precision() == "highest"


def test_what_stays_exact_is_used(monkeypatch):
    monkeypatch.setattr("nlp_rnn.cpu._product_error", lambda: 0.0)
    torch.set_float32_matmul_precision("highest")
    tune_cpu()
    assert torch.get_float32_matmul_precision() == "medium"


@pytest.mark.parametrize(
    ("cpuinfo", "known"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16\n", True),
        ("flags\t\t: amx_bf16\n", True),
        ("Features\t: asimd bf16\n", True),
        ("flags\t\t: avx2 avx512f\nbugs\t\t: bf16\n", False),
        (None, False),
    ],
)
def test_bf16_instructions_are_told_from_cpuinfo(cpuinfo, known, tmp_path, monkeypatch):
    path = tmp_path / "cpuinfo"
    if cpuinfo:
        path.write_text(cpuinfo)
    monkeypatch.setattr("nlp_rnn.cpu.CPUINFO", path)
    assert has_bf16() == known
    assert bool(cpu_flags()) == bool(cpuinfo)


@pytest.mark.parametrize("error", [None, RuntimeError("could not create a primitive descriptor")])
def test_a_bf16_lstm_is_tried(error, monkeypatch):
    def forward(*_):
        if error:
            raise error

    before = torch.get_rng_state()
    monkeypatch.setattr(torch.nn.LSTM, "forward", forward)
    assert runs_bf16_lstm() == (error is None)
    assert torch.equal(torch.get_rng_state(), before)
