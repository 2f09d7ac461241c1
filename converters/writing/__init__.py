"""How a GGUF file is written: its types, its head, its tensors, and a file in the making.

`quants` chooses each tensor's type, `layout` says what the file will hold, `header` makes its head; `pipeline` encodes
the tensors on all cores by `ggml`, with `tensor_error` taken as they pass; `partial` is OUT.partial.
"""
