"""What a run says of the model that answered, and of the texts and the vocabulary that its prompts are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from coalm_lite import dialects
from coalm_lite.errors import ModelError
from coalm_lite.evals.run import ModelStory
from coalm_lite.runtime.base import Engine
from coalm_lite.store.facts import CheckedModel, check_model, quant_of
from coalm_lite.store.names import ModelReference
from coalm_lite.types import JsonObject, Message, Prompt, ToolCall, ToolSpec

_PARAMETERS: JsonObject = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
_TOOL = ToolSpec("look_up", "Looks up a name.", _PARAMETERS)
_MESSAGES = (
    Message("system", "Be brief."),
    Message("user", "Who is Ann?"),
    Message("assistant", calls=(ToolCall("look_up", {"name": "Ann"}),)),
    Message("tool", '{"age": 7}'),
    Message("assistant", "Ann is seven."),
    Message("user", "Thanks. And Bob?"),
)


def file_story(reference: ModelReference) -> ModelStory:
    """The story of a model's file or folder, whose bytes are hashed; ModelError for what is no model."""
    model = check_model(reference.path)
    folder = model.folder
    return ModelStory(
        name=reference.name,
        kind="onnx" if folder else "gguf",
        quant=folder.quant if folder else quant_of(model.header),
        size_bytes=folder.size_bytes if folder else reference.path.stat().st_size,
        sha256=_sha256([folder.path / file.name for file in folder.files] if folder else [reference.path]),
        source=_source(reference, model),
    )


def _source(reference: ModelReference, model: CheckedModel) -> str:
    local = reference.local
    return local.place if local and not local.manifest.converter else model.header.texts.get("coalm.source", "")


def _sha256(paths: Sequence[Path]) -> str:
    """Of the bytes of the files, one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error
    return digest.hexdigest()


def vocabulary_sha256(engine: Engine) -> str:
    """Equal where token numbers mean the same: of what each token writes, and which ones end an answer."""
    digest = hashlib.sha256()
    for token in range(engine.info.vocabulary_size):
        text = engine.token_bytes(token)
        if text or engine.is_end(token):
            digest.update(b"%d %d %d " % (token, engine.is_end(token), len(text)) + text)
    return digest.hexdigest()


def template_sha256(dialect: str, short: bool) -> str:
    """Of the prompt that a dialect makes of a fixed conversation: another one where its wording changed.

    A name that is no dialect's stands for all of them: a suite's items may each have their own.
    """
    names = (dialect,) if dialect in dialects.NAMES else dialects.NAMES
    prompts = [_prompt(name, messages, short) for name in names for messages in (_MESSAGES[1:2], _MESSAGES)]
    digest = hashlib.sha256()
    for prompt in prompts:
        digest.update(repr([(segment.text, segment.marker) for segment in prompt]).encode())
    return digest.hexdigest()


def _prompt(dialect: str, messages: Sequence[Message], short: bool) -> Prompt:
    return dialects.get(dialect).render(messages, (_TOOL,), short)
