"""`coalm-lite show`: what is known of one model."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from coalm_lite.cli.options import verbosity_options
from coalm_lite.cli.output import print_json, print_values, size_words
from coalm_lite.cli.provenance_lines import provenance_lines, score_lines, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coalm_lite.pull.memory import MemoryNeed
    from coalm_lite.store.facts import ModelFacts


@click.command()
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@verbosity_options
def show(model: str, as_json: bool) -> None:
    """Show what is known of a model on this machine.

    MODEL is nano, a pulled model's name, or the path of a GGUF file or ONNX folder. Its header is checked, and its chat
    template is compared with the prompts that coalm-lite writes; the weights are not read. A model that `coalm-lite
    convert` made also tells where it comes from, how far it is from its source, and what it was tried with.
    """
    from coalm_lite.pull.memory import memory_need, shape_of_header
    from coalm_lite.runtime.options import DEFAULT_CONTEXT_TOKENS
    from coalm_lite.store.facts import check_model, model_facts
    from coalm_lite.store.names import resolve_model
    from coalm_lite.store.provenance import as_json as provenance_json

    reference = resolve_model(model)
    checked = check_model(reference.path)
    facts = model_facts(reference, checked)
    context_tokens = min(facts.trained_context_tokens, DEFAULT_CONTEXT_TOKENS)
    shape = shape_of_header(checked.header.values, checked.header.arrays)
    is_file = checked.folder is None  # the formula is llama.cpp's
    need = memory_need(shape, facts.size_bytes, context_tokens) if shape and is_file else None
    if as_json:
        memory = None if need is None else {**asdict(need), "total_bytes": need.total_bytes}
        told = {"provenance": provenance_json(facts.provenance) if facts.provenance else None, "memory": memory}
        print_json({**asdict(facts), "path": str(facts.path), "context_tokens": context_tokens, **told})
    else:
        print_values({name: value for name, value in _lines(facts, context_tokens, need) if value})


def _lines(facts: ModelFacts, context_tokens: int, need: MemoryNeed | None) -> Iterator[tuple[str, str]]:
    """Each fact's name and its words, "" where nothing is known."""
    yield "model", facts.name
    yield "file", str(facts.path)
    yield "size", f"{size_words(facts.size_bytes)} ({facts.size_bytes} bytes)"
    yield "quant", facts.quant
    yield "architecture", f"{facts.architecture}, {_count_words(facts.parameters)} parameters"
    yield "source", shown(facts.source)
    yield "sha256", facts.sha256
    yield "pulled", facts.pulled_at
    yield "licence", shown(facts.license)
    yield "context", f"{facts.trained_context_tokens} tokens at most, {context_tokens} unless asked for more"
    yield "memory", _memory_words(need)
    yield "dialects", ", ".join(facts.dialects)
    yield "template", f"{facts.template.kind}: {facts.template.problem}".removesuffix(": ")
    for name, value in facts.scores.items():
        yield shown(f"score {name}"), shown(str(value))
    yield from score_lines(facts.measured)
    if facts.provenance:
        yield from provenance_lines(facts.provenance)
    yield "provenance", facts.provenance_problem


def _count_words(count: int) -> str:
    """`8.03 billion`, `6.82 million`."""
    for unit, name in ((10**9, "billion"), (10**6, "million")):
        if count >= unit:
            return f"{count / unit:.2f} {name}"
    return str(count)


def _memory_words(need: MemoryNeed | None) -> str:
    if need is None:
        return ""
    parts = f"weights {size_words(need.weights_bytes)}, KV cache {size_words(need.kv_bytes)}"
    return f"{size_words(need.total_bytes)} ({parts}, buffers {size_words(need.buffer_bytes)})"
