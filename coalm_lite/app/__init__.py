"""The library inside other programs: an assistant for apps, an engine in a child process, an OpenAI-like server."""
