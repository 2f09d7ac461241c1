from __future__ import annotations

import logging

import pytest

from coalm_lite.runtime.llama_log import LlamaLog


def test_pieces_become_lines_at_their_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "coalm_lite.llama")
    log = LlamaLog()
    log.take(2, b"loading ")
    log.take(5, b"...")
    log.take(5, b" done\n")
    log.take(3, b"careful\n\n")
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("INFO", "loading ... done"),
        ("WARNING", "careful"),
    ]


def test_the_first_error_since_forget_is_the_reason() -> None:
    log = LlamaLog()
    assert log.reason == ""
    log.take(4, b"missing tensor\n")
    log.take(4, b"failed to load model\n")
    assert log.reason == ": missing tensor"
    log.forget()
    assert log.reason == ""


def test_nothing_reaches_standard_error_by_itself(capfd: pytest.CaptureFixture[str]) -> None:
    LlamaLog().take(4, b"an error that nobody asked to see\n")
    assert capfd.readouterr().err == ""
