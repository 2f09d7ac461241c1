"""llama.cpp, on llama-cpp-python's low-level API: the engine, and its vocabulary and grammars for other engines.

`library` is the only file that imports `llama_cpp`. Import this package only where a model is loaded: it takes 0.3 s.
"""

from coalm_lite.runtime.llamacpp.constraint import LlamaConstraint
from coalm_lite.runtime.llamacpp.engine import LlamaEngine
from coalm_lite.runtime.llamacpp.library import llama_build
from coalm_lite.runtime.llamacpp.vocabulary_file import LlamaVocabulary

__all__ = ["LlamaConstraint", "LlamaEngine", "LlamaVocabulary", "llama_build"]
