"""The OpenAI-compatible server, one job a file. It needs the extra `serve` (Starlette, uvicorn), and imports it late.

A request's way: `protocol` (slow heads) and `guard` (who may ask), `body`, `reading` (JSON to `chat_request`), `asking`
(`conversation`, `toolset`: to a prompt and its grammar), `answering` (the model's answer, its calls checked), `reply`
(`chat_response`, as JSON or as a stream). `line` bounds what is in work, `chat` is the whole way. `application` puts
the pages together, `running` runs them, `serving` does all of it for a model.
"""
