"""A conversion to ONNX at work: what it needs, the folder it works in, and the child process with torch in it.

`needs` and `work` are memory, disk and OUT.partial; `process` starts `child`, which alone imports torch and optimum.
"""
