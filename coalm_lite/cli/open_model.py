"""Opens what a conversation needs from the options: the model, its tools, the session. Shared by `chat` and `run`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from coalm_lite import dialects
from coalm_lite.cli.invocation import EngineFactory
from coalm_lite.cli.options import DEMO, NO_TOOLS, SessionOptions
from coalm_lite.decoding.desk import EngineDesk
from coalm_lite.decoding.prefix import prefix_folder
from coalm_lite.decoding.sampling import Sampler
from coalm_lite.errors import UsageError
from coalm_lite.session import Session
from coalm_lite.store.names import ModelReference, resolve_model
from coalm_lite.tools import Toolbox, ToolLike, load_tools
from coalm_lite.types import ToolCall


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A session that is ready, and the name of its model."""

    session: Session
    model_name: str


@contextmanager
def open_model(
    options: SessionOptions, approve: Callable[[ToolCall], bool] | None, open_engine: EngineFactory
) -> Iterator[OpenModel]:
    """The session that the options describe; its engine is closed at the end.

    What is wrong with names, sampling and tools is raised before the model is loaded.
    """
    reference = resolve_model(options.model)
    Sampler(options.sampling)  # refuses values that mean nothing
    tools = Toolbox(_tools(options, reference))
    with open_engine(
        reference.path,
        context_tokens=options.context_tokens,
        threads=options.threads,
        gpu_layers=options.gpu_layers,
    ) as engine:
        session = Session(
            EngineDesk(engine, prefix_folder()),
            tools,
            dialect=options.dialect or dialects.first_known(reference.dialects(engine.info.metadata)),
            system=options.system,
            sampling=options.sampling,
            max_steps=options.max_steps,
            approve=approve,
        )
        yield OpenModel(session, reference.name)


def _tools(options: SessionOptions, reference: ModelReference) -> list[ToolLike]:
    names = options.tools or ((DEMO,) if reference.is_shipped else (NO_TOOLS,))
    if NO_TOOLS in names and len(names) > 1:
        raise UsageError(f"--tools {NO_TOOLS} stands beside other tools", "Leave one of them out.")
    if options.database is not None and DEMO not in names:
        raise UsageError("--database is for the demo tools, which are not in use", "Add --tools demo.")
    tools: list[ToolLike] = []
    for name in dict.fromkeys(names):
        tools += _tools_called(name, options.database)
    return tools


def _tools_called(name: str, database: Path | None) -> list[ToolLike]:
    if name == NO_TOOLS:
        return []
    if name == DEMO:
        from coalm_lite import demo

        return list(demo.tools(database))
    return load_tools(Path(name).expanduser())
