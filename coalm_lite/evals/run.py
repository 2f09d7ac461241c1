"""A run as values: what was asked of which model, and what came of each item. `run_file.py` reads and writes them.

A run says all that a comparison needs: the metrics' rules stand in its header, the scored units in its items. Two runs
are comparable when suites, items, dialects, templates and grammar agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from coalm_lite.evals.items import Metric, Unit

ModelKind: TypeAlias = Literal["gguf", "onnx", "remote", "scripted"]
StepEnd: TypeAlias = Literal["stop", "length", "error"]


@dataclass(frozen=True, slots=True)
class ModelStory:
    """Which model answered. `sha256` is of the file (of an ONNX folder's files, or "" of a server's model)."""

    name: str
    kind: ModelKind
    quant: str = ""  # "Q4_K_M", "int4"; "" where it is not known
    size_bytes: int = 0
    sha256: str = ""
    source: str = ""  # "hf:uiuc-convai/CoALM-8B@revision", as its own provenance says
    vocabulary_sha256: str = ""  # equal where token numbers mean the same; "" for a server's


@dataclass(frozen=True, slots=True)
class SuiteStory:
    """One suite of a run. `items_sha256`: of the drawn items' ids in order and of what each of them asks."""

    name: str
    dialect: str
    items_in_all: int
    items_drawn: int
    items_sha256: str
    template_sha256: str  # of the instruction texts that its prompts begin with
    metrics: tuple[Metric, ...]


@dataclass(frozen=True, slots=True)
class RunHeader:
    """The first line of a run file. Nothing in it changes between two runs of one command on one machine."""

    model: ModelStory
    suites: tuple[SuiteStory, ...]
    grammar: bool = True
    seed: int = 0
    top_logprobs: int = 0  # how many are kept a token; 0: none, then no KL divergence can be had against this run
    base_sha256: str = ""  # of the base run's header line, where this run is differential
    machine: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    format_version: int = 1


@dataclass(frozen=True, slots=True)
class Choice:
    """The most likely next tokens at a free place: `at` is the index in the answer's tokens, its length the end's.

    `ids` and `logprobs` (natural, of the whole vocabulary before any grammar) belong together, the likeliest first.
    """

    at: int
    ids: tuple[int, ...]
    logprobs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a quantized model's answer went beside the base's recorded one, in a differential run.

    `agreed_tokens` of the base's `base_tokens` came out equal before the first difference; `kl_sum` is the sum, over
    `kl_places` free places until then, of KL(base || this) in nats over the base's recorded tokens and the rest as one.
    """

    agreed_tokens: int
    base_tokens: int
    kl_sum: float
    kl_places: int


@dataclass(frozen=True, slots=True)
class Step:
    """One answer: `tokens`, where each ends in the text's UTF-8 bytes, and why it ended.

    `asked`: the last message of the prompt, for a reader of flipped items; "" where it was not kept.
    """

    prompt_sha256: str  # the first 16 hex digits
    prompt_tokens: int
    text: str
    end: StepEnd
    tokens: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()
    choices: tuple[Choice, ...] = ()
    agreement: Agreement | None = None
    error: str = ""
    asked: str = ""


@dataclass(frozen=True, slots=True)
class ItemResult:
    """What came of one item."""

    suite: str
    id: str
    stratum: str
    cluster: str
    units: tuple[Unit, ...]
    steps: tuple[Step, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """A whole run."""

    header: RunHeader
    items: tuple[ItemResult, ...]
