"""Text of models and files as a page may show it: every character is seen, none acts.

Control characters, NUL among them, and what turns the direction of text or has no width stand as their numbers
(⟨U+202E⟩), which every font can show; what is no character at all stands as U+FFFD. Escaping for HTML is Jinja's,
afterwards.
"""

from __future__ import annotations

import re

from markupsafe import Markup

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e0fff]"
)
_NO_CHARACTER = re.compile("[\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


def visible(text: str) -> str:
    """A text in which every character shows; line ends and tabs stay as they are."""
    text = _NO_CHARACTER.sub("\ufffd", text)
    return _UNSEEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)


def finalized(value: object) -> object:
    """What a template prints of a value: text made visible, unless it is markup of our own."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def shortened(text: str, most: int) -> str:
    """A text of at most about `most` characters: its beginning, and how many more there were."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most:,} more characters)"
