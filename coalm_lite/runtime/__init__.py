"""Engines: tokens in, logits out. `base` says what they offer; each third-party engine stands in one file.

`llamacpp` loads llama.cpp and is imported only where a model is loaded; `scripted` is the public test double.
"""
