"""The choice of types is llama.cpp's own, asked of its library for models up to 405B; names are understood."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from gguf import GGMLQuantizationType

from coalm_lite.converters.writing.quants import RECIPES, ModelSizes, Quant, TypeChooser, parse_quant
from coalm_lite.errors import UsageError

llama_cpp = pytest.importorskip("llama_cpp")
LIBRARIES = Path(llama_cpp.__file__).parent / "lib"
QUANTIZED = [quant for quant in Quant if RECIPES[quant].quantized]
F16 = int(GGMLQuantizationType.F16)


@dataclass(frozen=True)
class Shape:
    """A Llama's sizes."""

    layers: int
    hidden: int
    ffn: int
    heads: int
    kv_heads: int
    tied: bool = False
    vocab: int = 128_256

    @property
    def tensors(self) -> list[tuple[str, tuple[int, int]]]:
        """Name and shape of each matrix, in the order in which llama-quantize goes through them."""
        keys = self.hidden // self.heads * self.kv_heads
        top = [] if self.tied else [("output.weight", (self.vocab, self.hidden))]
        top.append(("token_embd.weight", (self.vocab, self.hidden)))
        inner = {
            "attn_k": (keys, self.hidden),
            "attn_output": (self.hidden, self.hidden),
            "attn_q": (self.hidden, self.hidden),
            "attn_v": (keys, self.hidden),
            "ffn_down": (self.hidden, self.ffn),
            "ffn_gate": (self.ffn, self.hidden),
            "ffn_up": (self.ffn, self.hidden),
        }
        layers = range(self.layers)
        return top + [(f"blk.{layer}.{name}.weight", shape) for layer in layers for name, shape in inner.items()]


SHAPES = {
    "1B": Shape(16, 2048, 8192, 32, 8, tied=True),
    "3B": Shape(28, 3072, 8192, 24, 8, tied=True),
    "7B without groups": Shape(32, 4096, 11008, 32, 32, vocab=32_000),
    "8B": Shape(32, 4096, 14336, 32, 8),
    "70B": Shape(80, 8192, 28672, 64, 8),
    "80 layers without groups": Shape(80, 1024, 4096, 16, 16),
    "405B": Shape(126, 16384, 53248, 128, 8),
    "one layer": Shape(1, 256, 512, 4, 1),
    "seven layers, two queries a key": Shape(7, 512, 1536, 8, 4),
    "columns by 32": Shape(17, 288, 96, 9, 3),
    "columns by 32, tied": Shape(17, 288, 96, 9, 3, tied=True),
    "columns by nothing": Shape(9, 200, 500, 5, 1),
}


class ModelDescription(ctypes.Structure):
    """`struct llama_quant_model_desc` of llama.cpp's src/llama-ext.h."""

    _fields_ = (
        ("architecture", ctypes.c_char_p),
        *((name, ctypes.c_uint32) for name in ("n_embd", "n_ff", "n_layer", "n_head", "n_head_kv", "n_expert")),
        ("n_embd_head_k", ctypes.c_uint32),
        ("n_embd_head_v", ctypes.c_uint32),
    )


class LlamaTypes:
    """llama.cpp's own answer, through the functions that its own tests use, under the names that Linux gives them."""

    def __init__(self) -> None:
        self._llama = ctypes.CDLL(str(LIBRARIES / "libllama.so"))
        self._ggml = ctypes.CDLL(str(LIBRARIES / "libggml-base.so"))
        self._model = self._function("_Z31llama_quant_model_from_metadataPK22llama_quant_model_desc")
        self._init = self._function("_Z16llama_quant_initPK11llama_modelPK27llama_model_quantize_params")
        self._free = self._function("_Z16llama_quant_freeP19quantize_state_impl")
        self._types = self._function(
            "_Z25llama_quant_compute_typesP19quantize_state_impl11llama_ftypePP11ggml_tensorP9ggml_typem"
        )
        for name in ("ggml_init", "ggml_new_tensor_2d", "ggml_set_name"):
            getattr(self._ggml, name).restype = ctypes.c_void_p

    def of(self, shape: Shape, quant: Quant) -> list[int]:
        """The type of each of the shape's tensors."""
        sizes = (shape.hidden, shape.ffn, shape.layers, shape.heads, shape.kv_heads, 0)
        head = shape.hidden // shape.heads
        model = ctypes.c_void_p(self._model(ctypes.byref(ModelDescription(b"llama", *sizes, head, head))))
        parameters = llama_cpp.llama_model_quantize_default_params()
        state = ctypes.c_void_p(self._init(model, ctypes.byref(parameters)))
        count = len(shape.tensors)
        context = self._context(count)
        try:
            tensors = (ctypes.c_void_p * count)(*self._tensors(context, shape))
            types = (ctypes.c_int * count)()
            self._types(state, ctypes.c_int(int(RECIPES[quant].file_type)), tensors, types, ctypes.c_size_t(count))
            return list(types)
        finally:
            self._ggml.ggml_free(context)
            self._free(state)
            llama_cpp.llama_model_free(model)

    def _function(self, name: str) -> ctypes._NamedFuncPointer:
        function = getattr(self._llama, name)
        function.restype = ctypes.c_void_p
        return function

    def _context(self, count: int) -> ctypes.c_void_p:
        class Parameters(ctypes.Structure):
            _fields_ = (("mem_size", ctypes.c_size_t), ("mem_buffer", ctypes.c_void_p), ("no_alloc", ctypes.c_bool))

        return ctypes.c_void_p(self._ggml.ggml_init(Parameters(1024 * (count + 1), None, True)))

    def _tensors(self, context: ctypes.c_void_p, shape: Shape) -> Iterator[int]:
        for name, (rows, columns) in shape.tensors:
            made = self._ggml.ggml_new_tensor_2d(context, F16, ctypes.c_int64(columns), ctypes.c_int64(rows))
            self._ggml.ggml_set_name(ctypes.c_void_p(made), name.encode())
            yield made


@pytest.fixture(scope="module")
def llama_types() -> LlamaTypes:
    try:
        return LlamaTypes()
    except (OSError, AttributeError) as error:
        pytest.skip(f"llama.cpp's library does not export its choice of types under these names here: {error}")


@pytest.mark.parametrize("name", SHAPES)
def test_every_tensor_gets_the_type_that_llama_cpp_chooses(llama_types: LlamaTypes, name: str) -> None:
    shape = SHAPES[name]
    for quant in QUANTIZED:
        names = [tensor for tensor, _ in shape.tensors]
        chooser = TypeChooser(quant, ModelSizes(shape.layers, shape.heads, shape.kv_heads), names, has_imatrix=False)
        ours = [chooser.choose(tensor, size, GGMLQuantizationType.F16) for tensor, size in shape.tensors]
        theirs = [GGMLQuantizationType(kind) for kind in llama_types.of(shape, quant)]
        differing = {tensor: (a, b) for tensor, a, b in zip(names, ours, theirs, strict=True) if a is not b}
        assert not differing, quant


@pytest.mark.parametrize(
    ("quant", "with_imatrix", "without"), [(Quant.Q4_0, "Q4_1", "Q4_0"), (Quant.IQ4_XS, "IQ4_XS", "Q5_K")]
)
def test_an_importance_matrix_changes_the_first_layers_alone(quant: Quant, with_imatrix: str, without: str) -> None:
    names = [f"blk.{layer}.ffn_down.weight" for layer in range(16)]
    found = {}
    for has_imatrix in (True, False):
        chooser = TypeChooser(quant, ModelSizes(16, 8, 8), names, has_imatrix)
        found[has_imatrix] = [chooser.choose(name, (256, 256), GGMLQuantizationType.F16).name for name in names]
    assert found[True][:2] == [with_imatrix] * 2
    assert found[False][:2] == [without] * 2
    assert found[True][2:] == found[False][2:] == [RECIPES[quant].kind.name] * 14


def test_vectors_and_norms_keep_their_type() -> None:
    chooser = TypeChooser(Quant.Q4_K_M, ModelSizes(1, 4, 4), ["output.weight"], has_imatrix=False)
    for name, shape in (("blk.0.attn_norm.weight", (256,)), ("blk.0.x_norm.weight", (2, 256)), ("a.bias", (2, 256))):
        assert chooser.choose(name, shape, GGMLQuantizationType.F32) is GGMLQuantizationType.F32
    assert chooser.choose("blk.0.one_row.weight", (1, 256), GGMLQuantizationType.F16) is GGMLQuantizationType.F16


def test_names_are_understood_in_any_case_and_short() -> None:
    assert [parse_quant(name) for name in Quant] == list(Quant)
    assert parse_quant("Q4_K_M") is parse_quant("q4-k-m") is parse_quant("q4") is Quant.Q4_K_M
    assert [parse_quant(name) for name in ("q2", "q3", "q5", "q6", "q8", "f16")] == [
        Quant.Q2_K,
        Quant.Q3_K_M,
        Quant.Q5_K_M,
        Quant.Q6_K,
        Quant.Q8_0,
        Quant.F16,
    ]


def test_another_name_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(UsageError, match="'q4_k_n' is no kind of GGUF file") as caught:
        parse_quant("q4_k_n")
    assert "Did you mean q4_k_" in caught.value.hint
    assert "iq3_m" in caught.value.hint
