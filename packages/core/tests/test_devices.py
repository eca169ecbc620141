"""Laws of devices: nothing that was asked for is silently replaced, and a precision is allowed only by measurement."""

from __future__ import annotations

import math

import pytest
import torch

from sepkit.devices import (
    autocast,
    check_precision,
    choose_device,
    default_batch_windows,
    is_out_of_memory,
    precision_error_db,
)
from sepkit.errors import DeviceError, NonFiniteOutput, OptionError

CPU = torch.device("cpu")


def test_auto_says_what_it_chose_and_why():
    choice = choose_device("auto")
    assert choice.reason.startswith("auto: ")
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        assert choice.device == CPU
        assert "CUDA" in choice.reason
        assert "MPS" in choice.reason


def test_auto_prefers_cuda_then_mps(monkeypatch):
    monkeypatch.setattr("sepkit.devices._missing", lambda device: None if device.type == "mps" else "it is not there")
    assert choose_device("auto").device.type == "mps"
    monkeypatch.setattr("sepkit.devices._missing", lambda device: None)
    monkeypatch.setattr("sepkit.devices._device_name", lambda device: "")
    assert choose_device("auto").device.type == "cuda"


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here, so asking for it is right")
def test_a_missing_device_is_an_error_with_the_reason_and_a_way_out():
    with pytest.raises(DeviceError, match=r"'cuda'.*(no CUDA GPU|without CUDA).*'cpu'"):
        choose_device("cuda")


def test_a_device_number_beyond_the_last_is_an_error():
    with pytest.raises(DeviceError, match="cuda:99"):
        choose_device("cuda:99")


@pytest.mark.parametrize(("asked", "message"), [("gpu", "Known: auto, cpu, cuda, mps"), ("cuda:x", "a number N")])
def test_names_of_no_device_are_refused(asked, message):
    with pytest.raises(OptionError, match=message):
        choose_device(asked)


def test_every_device_has_a_default_batch():
    assert all(default_batch_windows(torch.device(kind)) >= 1 for kind in ("cpu", "cuda", "mps"))


def test_an_unknown_precision_gets_the_nearest():
    assert check_precision("bf16") == "bf16"
    with pytest.raises(OptionError, match="did you mean 'fp16'"):
        check_precision("f16")


def test_autocast_lowers_matrix_products_only_when_asked():
    x = torch.randn(4, 4)
    with autocast(CPU, "bf16"):
        assert (x @ x).dtype == torch.bfloat16
        with autocast(CPU, "fp32"):  # also inside someone else's autocast
            assert (x @ x).dtype == torch.float32


@pytest.mark.parametrize(("relative_error", "allowed"), [(0.0, True), (0.009, True), (0.011, False), (math.nan, False)])
def test_a_precision_is_allowed_up_to_minus_40_db(relative_error, allowed):
    x = torch.ones(100)

    def run(precision):
        return x if precision == "fp32" else x * (1 + relative_error)

    if allowed:
        wanted = -math.inf if relative_error == 0 else 20 * math.log10(relative_error)
        assert precision_error_db(run, "bf16", CPU) == pytest.approx(wanted, abs=0.1)
    else:
        with pytest.raises(DeviceError, match=r"changes this method's output by (-39\.\d|nan) dB"):
            precision_error_db(run, "bf16", CPU)


@pytest.mark.parametrize("error", [RuntimeError("not implemented for 'Half'"), NonFiniteOutput("overflow")])
def test_a_precision_that_cannot_run_is_an_error_with_the_cause(error):
    def run(precision):
        if precision != "fp32":
            raise error
        return torch.ones(1)

    with pytest.raises(DeviceError, match="cannot run") as caught:
        precision_error_db(run, "fp16", CPU)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    ("error", "says_so"),
    [
        (torch.OutOfMemoryError("x"), True),
        (MemoryError(), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"), True),
        (RuntimeError("shapes differ"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_out_of_memory_is_told_from_other_errors(error, says_so):
    assert is_out_of_memory(error) is says_so
