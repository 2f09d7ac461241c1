"""The OpenAI-compatible server, one job a file. It needs the extra `serve` (Starlette, uvicorn), and imports it late.

A request's way: `protocol` (slow heads) and `guard` (who may ask), `body`, `reading` (JSON to `chat_request`), `asking`
(`conversation`, `toolset`, `shape`: to a prompt and its grammar), `answering` (the model's answer, its calls checked),
`replies` (`chat_response`, as JSON or as a stream). `line` bounds what is in work. `application` puts them together,
`running` runs it.
"""
