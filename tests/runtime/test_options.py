from __future__ import annotations

import os

import pytest

from coalm_lite.errors import UsageError
from coalm_lite.runtime.options import (
    EngineOptions,
    Machine,
    choose_options,
    exact_where_possible,
    quota_cpus,
    this_machine,
)

LAPTOP = Machine(allowed_cpus=16, physical_cores=8, gpu_offload=False)
MAC = Machine(allowed_cpus=8, physical_cores=8, gpu_offload=True)


def test_a_laptop_uses_its_physical_cores_and_no_gpu() -> None:
    assert choose_options(LAPTOP, 131_072) == EngineOptions(
        context_tokens=4096,
        threads=8,
        batch_threads=8,
        gpu_layers=0,
        batch_tokens=512,
        flash_attention=None,
        room_tokens=4096,
    )


def test_a_build_that_offloads_puts_every_layer_on_the_gpu() -> None:
    assert choose_options(MAC, 131_072).gpu_layers == -1


@pytest.mark.parametrize("layers", [-1, 0, 12])
def test_explicit_gpu_layers_win(layers: int) -> None:
    assert choose_options(MAC, 131_072, gpu_layers=layers).gpu_layers == layers


def test_gpu_layers_without_a_gpu_build_are_refused() -> None:
    with pytest.raises(UsageError, match="cannot use a GPU") as caught:
        choose_options(LAPTOP, 4096, gpu_layers=5)
    assert "Metal or CUDA" in caught.value.hint


@pytest.mark.parametrize(
    ("trained", "wished", "used"), [(2048, None, 2048), (131_072, None, 4096), (131_072, 9000, 9000)]
)
def test_the_context_is_the_wish_or_the_trained_one_up_to_4096(trained: int, wished: int | None, used: int) -> None:
    assert choose_options(LAPTOP, trained, context_tokens=wished).context_tokens == used


@pytest.mark.parametrize("wish", [{"context_tokens": 4097}, {"context_tokens": 0}, {"threads": 17}, {"threads": 0}])
def test_a_wish_out_of_range_names_the_range(wish: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=r"is \d+, outside 1 to (4096|16)"):
        choose_options(LAPTOP, 4096, context_tokens=wish.get("context_tokens"), threads=wish.get("threads"))


Q4_K, Q8_0, F32 = 12, 8, 0


@pytest.mark.parametrize(
    ("machine", "context", "types", "used"),
    [
        (LAPTOP, 8192, {Q8_0, F32}, False),
        (LAPTOP, 8193, {Q8_0, F32}, None),
        (LAPTOP, 8192, {Q4_K, F32}, None),
        (MAC, 4096, {Q8_0, F32}, None),
    ],
)
def test_flash_attention_is_off_where_logits_then_do_not_depend_on_batches(
    machine: Machine, context: int, types: set[int], used: bool | None
) -> None:
    chosen = choose_options(machine, 131_072, context_tokens=context)
    assert exact_where_possible(chosen, machine, types).flash_attention is used
    wished = choose_options(machine, 131_072, context_tokens=context, flash_attention=True)
    assert exact_where_possible(wished, machine, types).flash_attention is True


def test_a_batch_is_never_longer_than_the_context() -> None:
    assert choose_options(LAPTOP, 4096, context_tokens=100).batch_tokens == 100


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("max 100000", None), ("200000 100000", 2), ("50000 100000", 1), ("250000 100000", 2), ("", None)],
)
def test_a_container_quota_counts_in_whole_cpus(text: str, cpus: int | None) -> None:
    assert quota_cpus(text) == cpus


def test_this_machine_never_claims_more_than_the_process_may_use() -> None:
    machine = this_machine(gpu_offload=True)
    affinity = getattr(os, "sched_getaffinity", None)
    assert 1 <= machine.physical_cores <= machine.allowed_cpus
    assert machine.allowed_cpus <= (len(affinity(0)) if affinity is not None else os.cpu_count() or 1)
    assert machine.gpu_offload
