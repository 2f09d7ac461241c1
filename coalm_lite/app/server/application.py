"""The server's application: its routes behind the guard, each request counted."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coalm_lite.app.server.chat import ChatEndpoint
from coalm_lite.app.server.chat_response import Health, ModelEntry, ModelList
from coalm_lite.app.server.guard import Guard
from coalm_lite.app.server.metrics import CONTENT_TYPE, Counters
from coalm_lite.app.server.openapi import CHAT_PATH, MODEL_PATH, MODELS_PATH, openapi_document
from coalm_lite.app.server.refusal import Refusal, refusal_of
from coalm_lite.app.server.served import Served
from coalm_lite.app.server.settings import Access, Limits

PATHS = (CHAT_PATH, MODELS_PATH, "/health", "/metrics", "/openapi.json")


def application(served: Served, access: Access, limits: Limits) -> ASGIApp:
    """The application; `served` stays the caller's to close."""
    counters = Counters()
    pages = _Pages(served, counters, limits)
    routes = [
        Route(CHAT_PATH, ChatEndpoint(served, limits, counters), methods=["POST"]),
        Route(MODELS_PATH, pages.models, methods=["GET"]),
        Route(MODEL_PATH.replace("{model}", "{model:path}"), pages.model, methods=["GET"]),
        Route("/health", pages.health, methods=["GET"]),
        Route("/metrics", pages.metrics, methods=["GET"]),
        Route("/openapi.json", pages.openapi, methods=["GET"]),
    ]
    refused = {HTTPException: _http_error, Refusal: _error, Exception: _error}
    return _Counted(Guard(Starlette(routes=routes, exception_handlers=refused), access), counters)  # type: ignore[arg-type]  # handlers of narrower errors than Exception


class _Pages:
    """What is told of the server."""

    def __init__(self, served: Served, counters: Counters, limits: Limits) -> None:
        self._served = served
        self._counters = counters
        self._openapi = openapi_document(limits, served.name)

    def _entry(self) -> ModelEntry:
        served = self._served
        return ModelEntry(id=served.name, created=served.created, context_tokens=served.desk.info.context_tokens)

    async def models(self, request: Request) -> Response:
        """The list of one model."""
        return JSONResponse(ModelList(data=[self._entry()]).model_dump())

    async def model(self, request: Request) -> Response:
        """The model, by its name."""
        self._served.check_name(request.path_params["model"])
        return JSONResponse(self._entry().model_dump())

    async def health(self, request: Request) -> Response:
        """Whether requests are taken."""
        stopping = self._served.line.stopping
        health = Health(status="stopping" if stopping else "ok", loaded=self._served.desk.state.loaded)
        return JSONResponse(health.model_dump(), 503 if stopping else 200)

    async def metrics(self, request: Request) -> Response:
        """Figures for Prometheus."""
        return Response(self._counters.text(self._served), headers={"Content-Type": CONTENT_TYPE})

    async def openapi(self, request: Request) -> Response:
        """What may be asked, and what is answered."""
        return JSONResponse(self._openapi)


class _Counted:
    """Counts each request with its status."""

    def __init__(self, app: ASGIApp, counters: Counters) -> None:
        self._app = app
        self._counters = counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, self._counting(scope["path"], send))

    def _counting(self, path: str, send: Send) -> Send:
        known = path if path in PATHS else MODEL_PATH if path.startswith(f"{MODELS_PATH}/") else "other"

        async def count(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._counters.requested(known, message["status"])
            await send(message)

        return count


async def _http_error(request: Request, error: HTTPException) -> Response:
    """Starlette's own refusals (no such path, no such method) in OpenAI's form."""
    problem = {404: f"there is no {request.url.path[:80]}", 405: f"{request.url.path} takes no {request.method}"}
    refusal = Refusal(error.status_code, problem.get(error.status_code, error.detail), code="not_found")
    return JSONResponse(refusal.body, error.status_code, dict(error.headers or {}))


async def _error(request: Request, error: Exception) -> Response:
    refusal = refusal_of(error)
    return JSONResponse(refusal.body, refusal.status, refusal.headers)
