"""A model served until a signal: opened, put behind its application, run, closed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from coalm_lite import dialects
from coalm_lite.app.desk_group import engines_for, open_group
from coalm_lite.app.desks import AppDesk
from coalm_lite.app.model_spec import ModelSpec
from coalm_lite.app.server.application import application
from coalm_lite.app.server.line import Line
from coalm_lite.app.server.running import Running, address_of, bound_socket
from coalm_lite.app.server.served import Served
from coalm_lite.app.server.settings import Access, Limits
from coalm_lite.decoding.prefix import prefix_folder
from coalm_lite.store.names import ModelReference


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What is served and how; what is None is chosen by the model or the machine."""

    reference: ModelReference
    access: Access
    limits: Limits
    port: int
    dialect: str | None = None
    context_tokens: int | None = None
    threads: int | None = None
    gpu_layers: int | None = None
    isolate: bool = True

    def run(self, ready: Callable[[str], object]) -> int:
        """Serve until a signal; `ready` gets the address once requests are taken. Returns the exit code.

        The port is taken before the model is loaded, so that a taken one is told at once.
        """
        listening = bound_socket(self.access.host, self.port)
        try:
            with self._desk() as desk:
                name = self.dialect or dialects.first_known(self.reference.dialects(desk.info.metadata))
                line = Line(self.limits.parallel, self.limits.queue)
                served = Served(self.reference.name, desk, dialects.get(name), line)
                running = Running(application(served, self.access, self.limits), listening, line, self.limits)
                try:
                    return running.run(lambda: ready(address_of(listening)))
                finally:
                    line.close()
        finally:
            listening.close()

    def _desk(self) -> AppDesk:
        """The model in an engine of its own process or of this one; a small one in several."""
        spec = self._spec()
        return open_group(spec, engines_for(spec), isolate=self.isolate, prefixes=prefix_folder())

    def _spec(self) -> ModelSpec:
        return ModelSpec(
            path=self.reference.path,
            context_tokens=self.context_tokens,
            threads=self.threads,
            gpu_layers=self.gpu_layers,
            sequences=self.limits.parallel,
        )
