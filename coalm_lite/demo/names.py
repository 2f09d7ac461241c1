"""Names as people say them: without case, accents, punctuation or `the`, in part, or with a slip of the pen.

Not covered: translation, synonyms, abbreviations.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Sequence

from coalm_lite.demo.fields import listed, shown

_SAME_NAME = 0.85  # difflib ratio from which a different spelling is taken for a slip
_SUGGESTIONS = 3
_APOSTROPHES = re.compile("['`\u2019]")
_WORDS = re.compile(r"[^\W_]+")
_KIND_WORDS = re.compile(r"( (hotel|guest house|guesthouse|restaurant))+$")


def key(name: str) -> str:
    """The part of a name that tells it from others: lower-case words without accents, punctuation and `the`."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", name.casefold()) if not unicodedata.combining(c))
    joined = _APOSTROPHES.sub("", plain).replace("&", " and ")
    return " ".join(word for word in _WORDS.findall(joined) if word != "the")


def matches(said: str, names: Sequence[str]) -> list[str]:
    """The names that `said` may mean, in their order: those it equals, else those it is a part of, else near misses."""
    asked = key(said)
    return _matches(asked, names) or _matches(_KIND_WORDS.sub("", asked), names) or _near(asked, names, _SAME_NAME)


def resolve(kind: str, said: str, names: Sequence[str]) -> str:
    """The one name that `said` means; raises ValueError with the nearest names when none or several fit."""
    found = matches(said, names)
    if len(found) == 1:
        return found[0]
    if found:
        some = found[:_SUGGESTIONS]
        raise ValueError(f"{len(found)} {kind}s fit {shown(said)}: give the full name, such as {listed(some)}")
    nearest = listed(_near(key(said), names, cutoff=0.0), "and")
    raise ValueError(f"no {kind} is called {shown(said)}; the nearest names are {nearest}")


def same_kind(said: str, kind: str) -> bool:
    """Whether two words name the same kind of thing: `Museums` and `museum`, `swimmingpool` and `swimming pool`."""
    return _kind_key(said) == _kind_key(kind)


def _kind_key(kind: str) -> str:
    return key(kind).replace(" ", "").removesuffix("s")


def _matches(asked: str, names: Sequence[str]) -> list[str]:
    if not asked:
        return []
    equal = [name for name in names if key(name) == asked]
    return equal or [name for name in names if f" {asked}" in f" {key(name)}"]


def _near(asked: str, names: Sequence[str], cutoff: float) -> list[str]:
    by_key = {key(name): name for name in names}
    return [by_key[near] for near in difflib.get_close_matches(asked, list(by_key), _SUGGESTIONS, cutoff)]
