"""The BFCL V3 suite: its parts, items, figures and dialects.

Parts: "" for all 17 categories, "non_live", "live", "multi_turn", "simple", or one category. Multi-turn needs BFCL's
executors beside the data; without them the parts that have it are refused, with the command that fetches them. Items
stand in the order of what their prompts begin with, whatever their category, so that neighbours share the longest
beginnings: first the single-turn ones by functions and words, then the dialogues by functions and words. (Of the
single-turn prompts' tokens 61 % are shared so, 53 % category by category, 50 % in the files' order.)
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from coalm_lite.errors import StoreError
from coalm_lite.evals.bfcl.categories import Category, categories_of, metrics_of
from coalm_lite.evals.bfcl.executors import FETCH_HINT, PACKAGE, Executors
from coalm_lite.evals.bfcl.play import play_dialogue, play_question
from coalm_lite.evals.bfcl.questions import Dialogue, Question, read_dialogues, read_questions
from coalm_lite.evals.data.files import find_data
from coalm_lite.evals.items import Item, Metric, Play

DIALECTS = ("bfcl", "hammer")  # the first is what CoALM was published with


@dataclass(frozen=True, slots=True)
class BfclSuite:
    """BFCL V3, or a part of it, opened."""

    name: str
    metrics: tuple[Metric, ...]
    items: tuple[Item, ...]
    executors: Executors | None
    dialects: tuple[str, ...] = DIALECTS

    def play(self, item: Item, dialect: str) -> Play:
        """Ask for one item's answers and score them. ExecutorsError where BFCL's objects cannot be made at all."""
        content = item.content
        if isinstance(content, Dialogue):
            assert self.executors is not None, "a part with dialogues is opened with executors"
            return play_dialogue(content, dialect, self._metrics_of(item.stratum), self.executors)
        assert isinstance(content, Question)
        return play_question(content, dialect, self._metrics_of(item.stratum))

    def _metrics_of(self, stratum: str) -> tuple[str, ...]:
        return tuple(each.name for each in self.metrics if each.name == stratum or stratum in each.weights)


def open_suite(folder: Path, part: str = "", executors_folder: Path | None = None) -> BfclSuite:
    """The suite with the data in `folder`; the executors lie beside it, where they were fetched, or in a named folder.

    UsageError for a part that BFCL has not, StoreError for data or executors that are not there.
    """
    categories = categories_of(part)
    executors = None
    if any(each.group == "multi_turn" for each in categories):
        executors_folder = executors_folder or _executors_folder(folder)
        executors = Executors(executors_folder)
    items = [_item(each) for category in categories for each in _contents(folder, executors_folder, category)]
    name = f"bfcl:{part}" if part else "bfcl"
    return BfclSuite(name, metrics_of(categories), tuple(sorted(items, key=_order)), executors)


def _executors_folder(folder: Path) -> Path:
    try:
        return find_data(PACKAGE, folder.parent)
    except StoreError as error:
        raise StoreError(f"multi-turn items need BFCL's executors: {error.message}", FETCH_HINT) from None


def _contents(folder: Path, package: Path | None, category: Category) -> Sequence[Question | Dialogue]:
    if category.group == "multi_turn" and package is not None:
        return list(read_dialogues(package, category))
    return list(read_questions(folder, category))


def _item(content: Question | Dialogue) -> Item:
    # The four multi-turn categories are four versions of the same 200 dialogues.
    number = content.id.rpartition("_")[2]
    cluster = f"multi_turn_{number}" if isinstance(content, Dialogue) else content.id
    return Item(content.id, content.category.name, cluster, content)


def _order(item: Item) -> tuple[bool, str, str, str]:
    """What a prompt is made of, in the prompt's order."""
    content: Question | Dialogue = item.content
    if isinstance(content, Dialogue):
        hidden = {name for names in content.held_out.values() for name in names}
        names = [str(each["name"]) for each in content.functions if each["name"] not in hidden]
        return True, json.dumps(names), _words(content.turns), content.id
    return False, json.dumps(content.functions), _words((content.messages,)), content.id


def _words(turns: Sequence[Sequence[object]]) -> str:
    return repr(turns)
