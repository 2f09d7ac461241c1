"""What a converted file is tried by: a call, the logits of two models, the tensors of two files.

`canned` has the conversations, `canned_call` makes one call of them, `agreement` compares logits over them; `tensors`
reads a GGUF file's tensors again.
"""
