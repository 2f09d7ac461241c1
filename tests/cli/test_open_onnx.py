"""An ONNX folder as MODEL: the command line runs it like a file, and says what is wrong with one that is none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine
from tests.onnx_models import FP32, copied


def test_a_request_is_answered_from_a_folder(command_line: CommandLine) -> None:
    pytest.importorskip("onnxruntime", reason="needs onnxruntime, of the extra `onnx`")
    done = command_line("run", f"{FP32}/", "hotel", "--max-tokens", "3", "--threads", "1", "--json", "-q")
    assert done.code in (0, 1), done.err  # a tiny model with random weights may write no whole answer in 3 tokens
    assert '"type": "' in done.out


def test_options_that_do_not_fit_are_refused(command_line: CommandLine) -> None:
    pytest.importorskip("onnxruntime", reason="needs onnxruntime, of the extra `onnx`")
    done = command_line("run", str(FP32), "hotel", "--gpu-layers", "2")
    assert done.code == 2
    assert "an ONNX model runs whole on one device" in done.err


def test_a_folder_that_is_no_model_is_told_without_onnxruntime(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    done = command_line("run", str(tmp_path), "hotel")
    assert done.code == 1
    assert "is no ONNX model: there is no coalm.json in it" in done.err


def test_without_onnxruntime_the_extra_is_named(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "coalm_lite.runtime.onnx", raising=False)
    done = command_line("run", str(copied(FP32, tmp_path / "m")), "hotel")
    assert done.code == 1
    assert "onnxruntime, which runs ONNX models, cannot be imported" in done.err
    assert "coalm-lite[onnx]" in done.err
