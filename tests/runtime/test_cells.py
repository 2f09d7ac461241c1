from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coalm_lite.runtime.cells import Cells

SEQUENCES, CAPACITY = 3, 1000
actions = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 2), st.integers(0, 5)),
        st.tuples(st.just("cut"), st.integers(0, 2), st.integers(0, 12)),
        st.tuples(st.just("share"), st.permutations(range(3)), st.integers(0, 12)),
    ),
    max_size=20,
)


@given(actions=actions)
def test_the_room_in_use_is_what_the_sequences_hold_with_common_cells_counted_once(actions: list) -> None:  # type: ignore[type-arg]
    cells = Cells(SEQUENCES, CAPACITY)
    model: list[list[tuple[int, int]]] = [[], [], []]  # (unique number, token)
    number = 0
    for kind, where, amount in actions:
        if kind == "append":
            new = [(number + index, number % 7) for index in range(amount)]
            number += amount
            model[where] += new
            cells.append(where, [token for _, token in new])
        elif kind == "cut":
            del model[where][amount:]
            cells.cut(where, amount)
        else:
            source, target, _ = where
            model[target] = model[source][:amount]
            cells.share(source, target, amount)
        assert [cells.tokens(n) for n in range(3)] == [[token for _, token in held] for held in model]
        assert cells.free == CAPACITY - len({cell for held in model for cell in held})
