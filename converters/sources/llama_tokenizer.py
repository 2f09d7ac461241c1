"""A Llama 3 tokenizer as GGUF stores it: tokens, types, merges, special ids, chat template.

Covered: tokenizer.json with byte-level BPE, Llama 3's split expression and `ignore_merges`, which is what llama.cpp
calls `llama-bpe`; anything else is an error, since llama.cpp would encode it differently without a word. Special ids
and `add_*_token` follow gguf-py's SpecialVocab, so that the keys are those of llama.cpp's converter. Not covered:
templates in `additional_chat_templates/`, tokens that stand in tokenizer_config.json alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gguf import GGUFWriter, TokenType

from coalm_lite.converters.sources.hf_config import JsonFile
from coalm_lite.errors import ModelError
from coalm_lite.types import JsonObject, JsonValue

LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_HINT = "Only Llama 3's byte-level BPE (llama.cpp's llama-bpe) can be converted."
_SPECIAL_NAMES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
# gguf-py's spelling; it has no key for cls
_ID_KEYS = {name: name for name in ("bos", "eos", "mask", "eot")} | {
    "unk": "unknown",
    "sep": "seperator",
    "pad": "padding",
}
_FLAG_NAMES = ("bos", "eos", "sep")
# how llama.cpp's converter recognises control tokens that are not marked as special
_LOOKS_SPECIAL = re.compile(r"<\|.*\|>|<｜.*｜>|<unused.*>|<pad>|<mask>|<2mass>|\[@BOS@\]", re.DOTALL)  # noqa: RUF001
# what would make tokenizers encode otherwise than llama.cpp; absent, null, false and "" are all fine
_UNWANTED_MODEL_KEYS = ("byte_fallback", "dropout", "continuing_subword_prefix", "end_of_word_suffix")

_STRIPPING_FLAGS = ("lstrip", "rstrip", "single_word")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """`tokens` and `types` by id; `special_ids` and `add_special` by gguf-py's names (bos, eos, ...), in its order.

    `chat_template`: the template's text, or a list of templates with `name` and `template`.
    """

    tokens: tuple[str, ...]
    types: tuple[TokenType, ...]
    merges: tuple[str, ...]
    special_ids: Mapping[str, int]
    add_special: Mapping[str, bool]
    chat_template: str | Sequence[Mapping[str, str]] | None


def read_vocabulary(folder: Path, vocab_size: int) -> Vocabulary:
    """The tokenizer of the checkpoint in `folder`, padded to `vocab_size` tokens."""
    tokenizer = JsonFile.read(folder / "tokenizer.json")
    settings = JsonFile.read(folder / "tokenizer_config.json")
    _refuse_other_tokenizers(tokenizer)
    if settings.data.get("add_prefix_space"):
        raise settings.error("add_prefix_space", "llama-bpe adds no space", _HINT)
    tokens, types = _read_tokens(tokenizer, vocab_size)
    specials = _SpecialTokens(settings)
    specials.read_post_processor(tokenizer)
    ids = specials.ids(_added_ids(tokenizer), JsonFile.read(folder / "config.json"))
    for name, token_id in ids.items():
        if not 0 <= token_id < vocab_size:
            raise ModelError(f"{folder}: {name}_token_id {token_id} lies outside the {vocab_size} tokens", _HINT)
    return Vocabulary(
        tokens, types, _read_merges(tokenizer), ids, specials.add_flags(), _read_template(folder, settings)
    )


def add_vocabulary(writer: GGUFWriter, vocabulary: Vocabulary) -> None:
    """Adds the tokenizer keys to `writer`, in llama.cpp's order."""
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    writer.add_token_merges(vocabulary.merges)
    for name, token_id in vocabulary.special_ids.items():
        writer.add_uint32(f"tokenizer.ggml.{_ID_KEYS[name]}_token_id", token_id)
    for name, flag in vocabulary.add_special.items():
        writer.add_bool(f"tokenizer.ggml.add_{name}_token", flag)
    if vocabulary.chat_template:
        writer.add_chat_template(vocabulary.chat_template)


class _SpecialTokens:
    """Which tokens are bos, eos and so on, from tokenizer_config.json and then the post-processor's template."""

    def __init__(self, settings: JsonFile) -> None:
        self._tokens: dict[str, JsonValue] = {name: settings.data.get(f"{name}_token") for name in _SPECIAL_NAMES}
        self._settings = settings
        self._add: dict[str, bool] = {}
        self._tokens["bos"] = self._tokens["bos"] or self._tokens["cls"]
        self._tokens["eos"] = self._tokens["eos"] or self._tokens["sep"]

    def read_post_processor(self, tokenizer: JsonFile) -> None:
        post_processor = tokenizer.child("post_processor").data
        if not post_processor:
            return
        for processor in _objects(post_processor.get("processors", [post_processor])):
            if processor.get("type") == "ByteLevel":
                self._add.setdefault("bos", False)
                self._add.setdefault("eos", False)
            elif processor.get("type") == "TemplateProcessing":
                self._read_template(processor)
            else:
                raise tokenizer.error("post_processor", "only ByteLevel and TemplateProcessing can be converted", _HINT)

    def add_flags(self) -> dict[str, bool]:
        """Which special tokens the tokenizer adds by itself; the post-processor decides over tokenizer_config.json."""
        for name in _FLAG_NAMES:
            flag = self._settings.data.get(f"add_{name}_token")
            if isinstance(flag, bool):
                self._add.setdefault(name, flag)
        return self._add

    def ids(self, id_of: Mapping[str, int], config: JsonFile) -> dict[str, int]:
        """The ids by name: the named token's, else what config.json says (a list of ids says nothing)."""
        ids: dict[str, int] = {}
        for name, entry in self._tokens.items():
            text = entry.get("content") if isinstance(entry, dict) else entry
            if isinstance(text, str) and text in id_of:
                ids[name] = id_of[text]
        for name in self._tokens:
            token_id = config.data.get(f"{name}_token_id")
            if type(token_id) is int:
                ids.setdefault(name, token_id)
        return {name: token_id for name, token_id in ids.items() if name in _ID_KEYS}

    def _read_template(self, processor: JsonObject) -> None:
        single, pair = _objects(processor.get("single")), _objects(processor.get("pair"))
        first = _special_id(single[0]) if len(single) > 1 else None
        last = _special_id(single[-1]) if len(single) > 1 else None
        if first:
            self._tokens["bos"] = self._tokens["bos"] or first
            self._tokens["cls"] = self._tokens["cls"] or (None if first == self._tokens["bos"] else first)
            self._add["bos"] = first in (self._tokens["bos"], self._tokens["cls"])
        if last:
            if last != self._tokens["eos"]:
                self._tokens |= {"eot": self._tokens["eos"], "eos": last}
            self._add["eos"] = True
        self._read_pair(pair, first, last)

    def _read_pair(self, pair: Sequence[JsonObject], first: str | None, last: str | None) -> None:
        start = 1 if pair and first and _special_id(pair[0]) == first else 0
        stop = len(pair) - (1 if pair and last and _special_id(pair[-1]) == last else 0)
        sequences = pair[start:stop]
        if len(sequences) < 3 or (_sequence_id(sequences[0]), _sequence_id(sequences[-1])) != ("A", "B"):
            return
        between = [_special_id(entry) for entry in sequences[1:-1]]
        separators = [token for token in (self._tokens["sep"], self._tokens["eos"]) if token]
        added = between[0] in separators and not last
        self._add["sep"] = added or (len(between) == 2 and between[1] in separators)
        if self._add["sep"]:
            self._tokens["sep"] = self._tokens["sep"] or self._tokens["eos"]


def _refuse_other_tokenizers(tokenizer: JsonFile) -> None:
    model = tokenizer.child("model").data
    if model.get("type") != "BPE" or model.get("ignore_merges") is not True:
        found = f"model.type = {model.get('type')!r}, ignore_merges = {model.get('ignore_merges')!r}"
        raise ModelError(f"{tokenizer.path}: {found}, not Llama 3's BPE", _HINT)
    for key in _UNWANTED_MODEL_KEYS:
        if model.get(key):
            raise ModelError(f"{tokenizer.path}: model.{key} = {model.get(key)!r} has no counterpart", _HINT)
    if tokenizer.data.get("normalizer") is not None:
        raise tokenizer.error("normalizer", "llama.cpp would not apply it", _HINT)
    steps = _objects(tokenizer.child("pre_tokenizer").data.get("pretokenizers"))
    if [step.get("type") for step in steps] != ["Split", "ByteLevel"]:
        raise tokenizer.error("pre_tokenizer", "must be Split, then ByteLevel", _HINT)
    split, byte_level = steps
    if split.get("pattern") != {"Regex": LLAMA3_SPLIT} or split.get("behavior") != "Isolated" or split.get("invert"):
        raise tokenizer.error("pre_tokenizer", "does not split as Llama 3's does", _HINT)
    if byte_level.get("add_prefix_space") or byte_level.get("use_regex", True):
        raise tokenizer.error("pre_tokenizer", "ByteLevel must neither add a space nor split", _HINT)


def _read_tokens(tokenizer: JsonFile, vocab_size: int) -> tuple[tuple[str, ...], tuple[TokenType, ...]]:
    """Texts and types by id; ids that no token has become `[PAD<id>]`, unused."""
    tokens = [f"[PAD{token_id}]" for token_id in range(vocab_size)]
    types = [TokenType.UNUSED] * vocab_size
    for text, token_id, kind in _numbered_tokens(tokenizer):
        if type(token_id) is not int or not 0 <= token_id < vocab_size:
            problem = f"token {text!r} has id {token_id!r}, but config.json's vocab_size is {vocab_size}"
            raise ModelError(f"{tokenizer.path}: {problem}", _HINT)
        if types[token_id] is not TokenType.UNUSED and tokens[token_id] != text:
            raise ModelError(f"{tokenizer.path}: tokens {tokens[token_id]!r} and {text!r} share id {token_id}", _HINT)
        tokens[token_id], types[token_id] = text, kind
    seen: dict[str, int] = {}
    for token_id, text in enumerate(tokens):
        # llama.cpp ends the process when two ids have one text
        if seen.setdefault(text, token_id) != token_id:
            raise ModelError(f"{tokenizer.path}: token {text!r} has the ids {seen[text]} and {token_id}", _HINT)
    return tuple(tokens), tuple(types)


def _numbered_tokens(tokenizer: JsonFile) -> Iterator[tuple[str, JsonValue, TokenType]]:
    vocabulary = tokenizer.child("model").child("vocab").data
    if not vocabulary:
        raise ModelError(f"{tokenizer.path}: model.vocab is empty", _HINT)
    for text, token_id in vocabulary.items():
        yield text, token_id, TokenType.NORMAL
    following = len(vocabulary)
    for text, entry in _added_tokens(tokenizer):
        token_id = vocabulary.get(text, following)
        following += text not in vocabulary
        if entry.get("id") != token_id:
            problem = f"has id {entry.get('id')!r}, the tokenizers library would give it {token_id}"
            hint = "Save the tokenizer again with the tokenizers library."
            raise ModelError(f"{tokenizer.path}: added token {text!r} {problem}", hint)
        if entry.get("special") or _LOOKS_SPECIAL.fullmatch(text):
            yield text, entry.get("id"), TokenType.CONTROL
        else:
            yield text.replace("\N{LOWER ONE EIGHTH BLOCK}", " "), entry.get("id"), TokenType.USER_DEFINED


def _added_tokens(tokenizer: JsonFile) -> Iterator[tuple[str, JsonObject]]:
    for entry in _objects(tokenizer.data.get("added_tokens")):
        text = entry.get("content")
        if not isinstance(text, str):
            raise ModelError(f"{tokenizer.path}: added_tokens: {entry!r} has no text under content", _HINT)
        for flag in _STRIPPING_FLAGS:
            if entry.get(flag):
                raise ModelError(f"{tokenizer.path}: added token {text!r}: {flag} has no counterpart", _HINT)
        yield text, entry


def _added_ids(tokenizer: JsonFile) -> dict[str, int]:
    ids: dict[str, int] = {}
    for text, entry in _added_tokens(tokenizer):
        token_id = entry.get("id")
        if isinstance(token_id, int):
            ids.setdefault(text, token_id)
    return ids


def _read_merges(tokenizer: JsonFile) -> tuple[str, ...]:
    """Merges as `left right`; a space within a part is written as byte-level BPE writes it."""
    merges = tokenizer.child("model").data.get("merges")
    listed = merges if isinstance(merges, list) else []
    parts = [merge.split(" ") if isinstance(merge, str) else merge for merge in listed]
    texts = [
        f"{_visible(pair[0])} {_visible(pair[1])}"
        for pair in parts
        if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) and isinstance(pair[1], str)
    ]
    if not texts or len(texts) != len(parts):
        raise ModelError(f"{tokenizer.path}: model.merges is no list of pairs", _HINT)
    return tuple(texts)


def _read_template(folder: Path, settings: JsonFile) -> str | list[dict[str, str]] | None:
    """tokenizer_config.json's template, else chat_template.jinja's, else chat_template.json's."""
    template = settings.data.get("chat_template")
    if template is None and (folder / "chat_template.jinja").is_file():
        return _read_text(folder / "chat_template.jinja")
    if template is None and (folder / "chat_template.json").is_file():
        settings = JsonFile.read(folder / "chat_template.json")
        template = settings.data.get("chat_template")
    if template is None or isinstance(template, str):
        return template
    named = [{key: value for key, value in entry.items() if isinstance(value, str)} for entry in _objects(template)]
    if not named or any({"name", "template"} - entry.keys() for entry in named):
        raise settings.error("chat_template", "must be a template or a list of named templates", _HINT)
    return named


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read: {error}", "Download the file again.") from error


def _objects(value: JsonValue) -> list[JsonObject]:
    """The objects in a list; anything else counts as an empty list or an empty object."""
    return [entry if isinstance(entry, dict) else {} for entry in value] if isinstance(value, list) else []


def _special_id(entry: JsonObject) -> str | None:
    return _inner_id(entry.get("SpecialToken"))


def _sequence_id(entry: JsonObject) -> str | None:
    return _inner_id(entry.get("Sequence"))


def _inner_id(value: JsonValue) -> str | None:
    inner = value.get("id") if isinstance(value, dict) else None
    return inner if isinstance(inner, str) else None


def _visible(part: str) -> str:
    return part.replace(" ", chr(ord(" ") + 256))
