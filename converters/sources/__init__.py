"""What a conversion reads: a checkpoint's folder, a repository on the Hub, a GGUF file of 16 or 32 bits.

`opening` tells them apart and `base` has the values that each of them gives; `checkpoint`, `hub` and `gguf` are one
kind each. Below them: `weights` (safetensors, over `byte_source`), `hf_config` and `llama_tokenizer` (a checkpoint's
small files), `gguf_keys` (a GGUF's metadata).
"""
