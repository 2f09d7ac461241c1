"""The byte-level BPE tokenizer: Llama 3's split pattern and special tokens, a vocabulary of its own.

Encoding of prompts is cached by line, which is exact: the split pattern never joins a line break to what follows it
unless that is white space too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from coalm_lite.types import Prompt

SPLIT_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPECIAL_TOKENS = (
    "<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|reserved_special_token_1|>",
    "<|finetune_right_pad_id|>", "<|reserved_special_token_2|>", "<|start_header_id|>", "<|end_header_id|>",
    "<|eom_id|>", "<|eot_id|>", "<|python_tag|>",
)  # fmt: skip
_LINE = re.compile(r"(?<=\n)(?=\S)")


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """A tokenizer of exactly `vocabulary` tokens, the special ones last as in Llama 3."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    split = pre_tokenizers.Split(Regex(SPLIT_PATTERN), behavior="isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Writes tokenizer.json and the two configuration files that Hugging Face layout has beside it."""
    tokenizer.save(str(folder / "tokenizer.json"))
    named = {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>", "pad_token": "<|finetune_right_pad_id|>"}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, **named}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (folder / "special_tokens_map.json").write_text(json.dumps(named, indent=2) + "\n", encoding="utf-8")


class Encoder:
    """Prompts and replies to token ids, one cache for all."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._lines: dict[str, list[int]] = {}
        self.end_of_turn = self.special("<|eot_id|>")

    def special(self, marker: str) -> int:
        """The id of a special token."""
        found = self._tokenizer.token_to_id(marker)
        if found is None:
            raise ValueError(f"{marker!r} is no token of this tokenizer")
        return int(found)

    def text(self, text: str) -> list[int]:
        """The ids of plain text."""
        ids: list[int] = []
        for line in _LINE.split(text):
            if line not in self._lines:
                self._lines[line] = self._tokenizer.encode(line, add_special_tokens=False).ids
            ids += self._lines[line]
        return ids

    def prompt(self, prompt: Prompt) -> list[int]:
        """The ids of a prompt's segments."""
        ids: list[int] = []
        for segment in prompt:
            ids += [self.special(segment.text)] if segment.marker else self.text(segment.text)
        return ids
