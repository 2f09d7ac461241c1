from __future__ import annotations

import json

from tests.cli.conftest import CommandLine


def test_the_last_line_is_one_object_with_every_figure_its_spread_and_n(command_line: CommandLine) -> None:
    done = command_line("bench", "nano", "--rounds", "2", "--tokens", "8", "--prompt-tokens", "20")
    assert done.code == 0, done.err
    *lines, last = done.out.splitlines()
    speed = json.loads(last)
    assert (speed["prompt_tokens"], speed["answer_tokens"]) == (20, 8)
    for name in ("ttft_s", "prefill_tokens_per_s", "decode_tokens_per_s", "constrained_overhead"):
        figure = speed[name]
        assert figure["low"] <= figure["median"] <= figure["high"]
        assert figure["n"] == 2
    assert speed["ttft_s"]["low"] > 0
    assert any("tokens/s" in line for line in lines)


def test_json_alone(command_line: CommandLine) -> None:
    done = command_line("bench", "nano", "--json", "--rounds", "1", "--tokens", "4", "--prompt-tokens", "9")
    assert json.loads(done.out)["prompt_tokens"] == 9
