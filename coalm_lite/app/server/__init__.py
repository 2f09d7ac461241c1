"""`coalm-lite serve`: the OpenAI-compatible server over one model."""
