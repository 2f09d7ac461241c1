"""The training mixture: which examples, how many of each, drawn anew by seed.

Sources: MultiWOZ and SGD train rows, SNIPS train, and conversations made here. No dev or test row enters.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nano import copying, multiwoz, sgd, snips, town_talk
from nano.examples import Example


@dataclass(frozen=True, slots=True)
class Mixture:
    """Examples of each kind in a pass."""

    multiwoz_states: int = 4000
    multiwoz_conversations: int = 400
    sgd_conversations: int = 300
    town_conversations: int = 2500
    snips_states: int = 800
    masked_calls: int = 700
    copying: int = 4000


class Corpus:
    """The published rows, read once."""

    def __init__(self, data: Path) -> None:
        self.multiwoz = multiwoz.read_dialogues(data / "multiwoz24/raw/train.tsv.gz")
        self.venues = multiwoz.Venues(data / "multiwoz24/db")
        self.schemas = sgd.read_schemas(data / "sgd/train_schema.json")
        self.sgd = list(sgd.read_dialogues(data / "sgd/train.jsonl.gz"))
        self.requests = snips.read_requests(data / "snips")
        self.domains = snips.domains(self.requests)

    def examples(self, mixture: Mixture, seed: int) -> Iterator[Example]:
        """One pass of the mixture, in no particular order."""
        rng = random.Random(seed)
        yield from map(multiwoz.state_example, rng.sample(self.multiwoz, mixture.multiwoz_states))
        answered = [dialogue for dialogue in self.multiwoz if len(dialogue.turns) > 1]
        for dialogue in rng.sample(answered, mixture.multiwoz_conversations):
            yield multiwoz.conversation(dialogue, self.venues, rng)
        for record in rng.sample(self.sgd, mixture.sgd_conversations):
            yield sgd.conversation(record, self.schemas, rng)
        for _ in range(mixture.town_conversations):
            yield town_talk.conversation(rng)
        for request in rng.sample(self.requests, mixture.snips_states):
            yield snips.state_example(request, self.domains, rng)
        for _ in range(mixture.masked_calls):
            chosen = rng.sample(self.requests, rng.choice((1, 1, 1, 2)))
            yield snips.masked_example(chosen, self.domains, rng)
        for _ in range(mixture.copying):
            yield copying.example(rng)
