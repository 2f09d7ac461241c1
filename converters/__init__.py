"""Converters of checkpoints, to GGUF and to ONNX: installed as coalm_lite.converters.

Entries: `gguf` and `onnx` convert, `plan` tells before, `imatrix` measures importance, `verify` tries a result,
`recheck` tries it again later, `provenance` tells its story, `conversion` goes the whole way to a GGUF file. The
folders hold what the entries work with, and import none of them: `sources`, `writing`, `checks`, `calibration`,
`onnx_export`.
"""
