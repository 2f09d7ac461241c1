"""Texts that are hard to split: words, scripts, emojis, numbers, white space, code, look-alikes of special tokens."""

from __future__ import annotations

import random
from collections.abc import Callable

_WORD_LIST = """
a the I hotel hotels cheap north centre book booking table for two people nights Tuesday train trains arrives leaving
Cambridge London parking free wifi taxi phone number reference thanks goodbye Action Thought System User restaurant
Indian food pricerange moderate expensive guesthouse attraction museum college night's we'll they're I'd he'S DON'T
it'll you'Re she'D I'M rock'n'roll 'tis don\u2019t naïve café Straße ÉCOLE coöperate
"""
WORDS = _WORD_LIST.split()
CODE = (
    "def f(x: int = 3) -> list[str]:",
    "    return [y**2 for y in x if y != 0]",
    '[{"name": "find_hotels", "arguments": {"area": "north", "stars": 4}}]',
    "Action: book_train(day='saturday', leave_at=\"09:00\", people=2)",
    'if (a && b || !c) { s += "\\n\\t"; }  // done',
    "SELECT * FROM t WHERE x >= 1.5e-3;",
    "<div class='x'>&nbsp;</div>",
    "C:\\Users\\x\\y.txt /usr/local/bin --flag=1 https://ex.org/?q=a%20b#c",
    "[BEGIN OF AVAILABLE TOOLS]\n1. FindBus(from_location, to_location)\n[END OF AVAILABLE TOOLS]",
)
LOOK_ALIKES = (
    "<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>user<|end_header_id|>\n\n", "<|end_of_text|>", "<|eom_id|>",
    "<|python_tag|>", "<|eot_id |>", "<|eot|>", "<eot_id>", "<|", "|>", "<||>", "<|EOT_ID|>", "<|eot_id|",
    "< |eot_id|>", "<|reserved_special_token_0|>", "[PAD5]", "<unk>", "</s>", "<0x0A>", "Ġ", "Ċ", "▁",
)  # fmt: skip
EMOJIS = ("😀", "🦙🦙", "👩‍👩‍👧", "🏳️‍🌈", "👍🏽", "🇬🇧🇩🇪", "✅", "☎️", "1️⃣", "😶‍🌫️", "⏰", "🚆")
SPACES = (
    " ",
    "  ",
    "\n",
    "\n\n",
    "\t",
    "\r\n",
    "\r",
    "     ",
    " \n ",
    "\t\t \t",
    "\u00a0",
    "\u3000",
    "\u2003\u2009",
    "\v",
    "\f",
)
PUNCTUATION = "!?.,;:'\"`´’“”()[]{}<>|/\\-–—_=+*&^%$#@~…·•§¶€£¥°±×÷²³½"  # noqa: RUF001
SCRIPTS = (
    (0x00C0, 0x024F), (0x0370, 0x03FF), (0x0400, 0x04FF), (0x0531, 0x0556), (0x05D0, 0x05EA), (0x0620, 0x064A),
    (0x064B, 0x0652), (0x0660, 0x0669), (0x0905, 0x0939), (0x093E, 0x094D), (0x0E01, 0x0E3A), (0x10D0, 0x10F0),
    (0x1100, 0x1160), (0x1780, 0x17D2), (0x1E00, 0x1EFF), (0x2100, 0x218B), (0x2460, 0x249B), (0x3041, 0x3096),
    (0x30A1, 0x30FA), (0x4E00, 0x9FA5), (0xAC00, 0xD7A3), (0xFF01, 0xFF5E), (0x1D400, 0x1D454), (0x0300, 0x036F),
)  # fmt: skip


def texts(count: int, seed: int) -> list[str]:
    """`count` texts of one to twelve parts, the same for the same seed."""
    chance = random.Random(seed)
    return ["".join(_part(chance) for _ in range(chance.randint(1, 12))) for _ in range(count)]


def _part(chance: random.Random) -> str:
    kinds: tuple[Callable[[random.Random], str], ...] = (
        _sentence,
        _sentence,
        _number,
        _script,
        _spaces,
        _signs,
        _mixed,
    )
    tables = (CODE, LOOK_ALIKES, EMOJIS)
    choice = chance.randrange(len(kinds) + len(tables))
    if choice < len(kinds):
        return kinds[choice](chance)
    return chance.choice(tables[choice - len(kinds)])


def _sentence(chance: random.Random) -> str:
    words = chance.choices(WORDS, k=chance.randint(1, 8))
    text = chance.choice((" ", " ", "  ", "-", ", ", "\n")).join(words)
    return chance.choice((text, " " + text, text.upper(), text.title(), text + chance.choice(".!?;")))


def _number(chance: random.Random) -> str:
    digits = "".join(chance.choices("0123456789", k=chance.randint(1, 12)))
    return chance.choice((digits, " " + digits, f"£{digits}.50", "19:05", f"{digits[:3]},{digits}", f"CB{digits} 7EQ"))


def _script(chance: random.Random) -> str:
    first, last = chance.choice(SCRIPTS)
    letters = [chr(chance.randint(first, last)) for _ in range(chance.randint(1, 9))]
    return chance.choice(("", " ", "a", "7")) + "".join(letters)


def _spaces(chance: random.Random) -> str:
    return "".join(chance.choices(SPACES, k=chance.randint(1, 4)))


def _signs(chance: random.Random) -> str:
    return chance.choice(("", " ")) + "".join(chance.choices(PUNCTUATION, k=chance.randint(1, 6)))


def _mixed(chance: random.Random) -> str:
    return "".join(chance.choice((chance.choice(WORDS), chance.choice(PUNCTUATION), " ", "5", "é")) for _ in range(6))
