"""The assistant: a model, its tools and one conversation, for an app's threads and tasks.

Any thread and any asyncio task may call it. Turns are answered one after the other, in the order in which they were
asked for, whatever thread they come from. The engine runs in a process of its own, unless `isolate=False`; tools and
`approve` run in the app's process. Not here: several answers at once (that is the server's), pulling models.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator
from contextlib import aclosing, closing
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, overload

from coalm_lite import dialects
from coalm_lite.app import conversation_file
from coalm_lite.app.approval import Approval, Approve
from coalm_lite.app.conversation_file import Conversation
from coalm_lite.app.model_spec import ModelSpec
from coalm_lite.app.opening import open_desk
from coalm_lite.app.reply import Reply, reply_of
from coalm_lite.app.structured import Extraction, Shape, checked_words, shape_of_schema, shape_of_type
from coalm_lite.app.turns import TurnQueue
from coalm_lite.decoding.desk import Desk
from coalm_lite.decoding.prefix import prefix_folder
from coalm_lite.decoding.sampling import Sampler
from coalm_lite.runtime.base import Cancel
from coalm_lite.session import INSTRUCTIONS_KEY, Session
from coalm_lite.store.names import ModelReference, default_model, resolve_model
from coalm_lite.tools import Toolbox, ToolLike
from coalm_lite.types import (
    Event,
    JsonObject,
    JsonValue,
    Message,
    ModelInfo,
    Sampling,
    Timings,
    TurnDone,
)

MAX_STEPS = 8
Value = TypeVar("Value")
_log = logging.getLogger(__name__)


class Assistant:
    """A conversation with a model that calls tools, safe to use from a GUI.

    Close it, or use it as a context manager. While it is open, `isolate=True` keeps a process of its own; between turns
    it holds no thread of this one.
    """

    def __init__(  # noqa: PLR0913 - each is a choice of its own
        self,
        model: str | Path | Desk | None = None,
        tools: Iterable[ToolLike] = (),
        *,
        context_tokens: int | None = None,
        isolate: bool = True,
        approve: Approve | None = None,
        system: str = "",
        sampling: Sampling | None = None,
        dialect: str | None = None,
        threads: int | None = None,
        gpu_layers: int | None = None,
        max_memory_bytes: int | None = None,
        max_steps: int = MAX_STEPS,
    ) -> None:
        """Opens the model, which takes from half a second to many: not on a GUI's own thread.

        `model`: a name or path as on the command line; None is the model pulled last or chosen with `coalm-lite use`,
        else nano. A desk that is open already may be given in its place, to be shared with others; it stays open.
        `isolate`: the engine in a child process, so that its abort is an EngineCrashed in one turn, and not the app's
        end. `approve`: asked before each call runs, on the turn's thread, where it may take its time; an async function
        is awaited on the loop of the task that asked with `asend`. What it raises ends the turn and is raised to the
        asker; the call does not run. None allows all. `max_memory_bytes`: what the model may take at most. What else is
        None is chosen by the model or the machine.

        Raises ModelError or UsageError for a model that is not here, ModelTooLargeError, with the numbers, for one that
        does not fit, SchemaError for a tool whose calls cannot be held valid.
        """
        self._sampling = sampling or Sampling()
        Sampler(self._sampling)  # refuses values that mean nothing, before the model is loaded
        self._tools = Toolbox(tools)
        self._max_steps = max_steps
        self._turns = TurnQueue("coalm-lite turns")
        self._approve = None if approve is None else Approval(approve, self._turns)
        reference = _reference(model)
        self._name = reference.name
        if isinstance(model, Desk):
            self._desk, self._close_desk = model, _nothing
        else:
            spec = ModelSpec(
                path=reference.path,
                context_tokens=context_tokens,
                threads=threads,
                gpu_layers=gpu_layers,
                max_memory_bytes=max_memory_bytes,
            )
            desk = open_desk(spec, isolate=isolate, prefixes=prefix_folder())
            self._desk, self._close_desk = desk, desk.close
        self._begin(dialect, reference, system)

    def _begin(self, dialect: str | None, reference: ModelReference, system: str) -> None:
        """The first conversation; the model is closed when it cannot be had."""
        try:
            self._dialect = dialect or dialects.first_known(reference.dialects(self._desk.info.metadata))
            self._session = self._new_session(system)
        except BaseException:
            self.close()
            raise

    # One turn

    def send(self, text: str) -> Generator[Event, None, None]:
        """The turn's events as they come, a TurnDone last; asked for at the first `next`.

        It is a turn of the conversation that this is called in, whatever `reset` and `load` do afterwards.
        The model does not wait until they are read. What is wrong with asking (a closed assistant, inside a turn of its
        own, no text) is raised here.

        Raises what ended the turn, and the conversation keeps the steps that were finished: ContextFullError,
        OutputError, EngineCrashed (the next turn starts a fresh engine), what `approve` raised, DecodingError when the
        assistant is closed. Leaving the loop, or holding the iterator no longer, cancels the turn within a token; the
        words that came until then stay in the conversation.
        """
        return self._turns.iterate(self._turn(text))

    def asend(self, text: str) -> AsyncGenerator[Event, None]:
        """As `send`, for asyncio; cancelling the task cancels the turn. Nothing of it blocks the loop."""
        return self._turns.aiterate(self._turn(text))

    def ask(self, text: str) -> Reply:
        """The turn in one piece, when it is over; the errors are those of `send`."""
        with closing(self.send(text)) as events:
            return reply_of(events)

    async def aask(self, text: str) -> Reply:
        """As `ask`, for asyncio."""
        async with aclosing(self.asend(text)) as events:
            return reply_of([event async for event in events])

    # Structured output

    @overload
    def call(self, schema: JsonObject, text: str) -> JsonValue: ...

    @overload
    def call(self, schema: type[Value], text: str) -> Value: ...

    def call(self, schema: JsonObject | type[Value], text: str) -> JsonValue | Value:
        """What `text` says, as a value of a JSON schema or of a type: a pydantic model, a dataclass, `list[str]`.

        The value is valid: by grammar as it is written, else by a check after which the model has one more try. It
        stands apart: it neither reads the conversation nor enters it, for it is a program's question and no turn of a
        talk; the system text and the sampling are the assistant's, its tools are not offered. It waits its turn.

        Raises SchemaError or ToolError for a schema that cannot be held, OutputError when the model gave nothing that
        fits, AnswerCancelledError when it was cancelled, and as `send` does.
        """
        with closing(self._turns.iterate(self._extraction(schema, text))) as values:
            return next(values)

    @overload
    async def acall(self, schema: JsonObject, text: str) -> JsonValue: ...

    @overload
    async def acall(self, schema: type[Value], text: str) -> Value: ...

    async def acall(self, schema: JsonObject | type[Value], text: str) -> JsonValue | Value:
        """As `call`, for asyncio."""
        async with aclosing(self._turns.aiterate(self._extraction(schema, text))) as values:
            return await anext(values)

    # The whole

    def cancel(self) -> None:
        """End all that was asked for so far, from any thread: the running turn within a token, and those that wait.

        Each ends with a TurnDone of the reason "cancelled"; what waited has not entered the conversation. No tool call
        starts afterwards, and one that runs is not waited for. Returns at once. One turn alone is cancelled by closing
        its iterator or cancelling its task.
        """
        self._turns.cancel()

    def close(self) -> None:
        """Free the model. Turns that run or wait end with a DecodingError, and so does whatever is asked later.

        From any thread, a tool or `approve` too; a second close does nothing. What was said can still be saved.
        """
        self._turns.close(self._close_desk)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # The conversation

    @property
    def messages(self) -> tuple[Message, ...]:
        """What was said so far, without the system text; during a turn, with its request and its finished steps."""
        return tuple(self._session.messages)

    @property
    def system(self) -> str:
        """The standing instructions."""
        return self._session.system

    @property
    def model(self) -> str:
        """The model's name."""
        return self._name

    @property
    def info(self) -> ModelInfo:
        """What the model says of itself."""
        return self._desk.info

    def reset(self) -> None:
        """Begin a new conversation; system text and tools stay. Returns at once, from any thread.

        Turns that were asked for before are still answered, in the conversation that they were asked in; `cancel`
        first ends them.
        """
        self._session = self._new_session(self._session.system)

    def save(self, path: str | Path) -> None:
        """Write the conversation to a file that `load`, and `/load` in a chat, read; UsageError if that cannot be."""
        session = self._session
        conversation = Conversation(self._name, self._dialect, session.system, tuple(session.messages))
        conversation_file.save(Path(path), conversation)

    def load(self, path: str | Path) -> None:
        """Go on with a saved conversation and its system text, as after a `reset`; UsageError for another file."""
        conversation = conversation_file.load(Path(path))
        session = self._new_session(conversation.system)
        session.messages += conversation.messages
        self._session = session

    def _new_session(self, system: str) -> Session:
        return Session(
            self._desk,
            self._tools,
            dialect=self._dialect,
            system=system,
            sampling=self._sampling,
            max_steps=self._max_steps,
            approve=self._approve,
        )

    def _turn(self, text: str) -> Callable[[Cancel], Iterator[Event]]:
        """A turn of this conversation as it is now; raises what is wrong with asking for one."""
        self._turns.check()
        return partial(_events, self._session, checked_words(text))

    def _extraction(self, schema: JsonObject | type[Value], text: str) -> Callable[[Cancel], Iterator[Value]]:
        self._turns.check()
        shape: Shape[Value] = shape_of_schema(schema) if isinstance(schema, dict) else shape_of_type(schema)  # type: ignore[assignment]
        short = self.info.metadata.get(INSTRUCTIONS_KEY) == "short"
        asked = Extraction(self._desk, shape, system=self.system, sampling=self._sampling, short=short)
        return partial(asked.values, checked_words(text))


def _events(session: Session, text: str, cancel: Cancel) -> Iterator[Event]:
    if cancel.is_set:  # while it waited: nothing of it was seen, so nothing is kept
        return iter([TurnDone("", "cancelled", Timings())])
    return session.send(text, cancel)


def _reference(model: str | Path | Desk | None) -> ModelReference:
    """The model that is meant; a desk has no name of its own but what its file says."""
    if isinstance(model, Desk):
        return ModelReference(model.info.metadata.get("general.name", ""), Path())
    if isinstance(model, Path):
        return ModelReference(model.name or str(model), model.expanduser())
    if model is not None:
        return resolve_model(model)
    chosen = default_model()
    if chosen.note:
        _log.warning("%s", chosen.note)
    return resolve_model(chosen.name)


def _nothing() -> None:
    """Nothing to free."""
