"""The library inside other programs: an assistant for apps, the engine in a child process, an OpenAI-compatible server."""
