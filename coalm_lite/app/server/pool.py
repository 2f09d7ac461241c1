"""A thread's work seen from the event loop: a generator's items as they come, on another thread."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Executor
from contextlib import suppress
from typing import TypeVar

Item = TypeVar("Item")


async def items_of(pool: Executor, make: Callable[[], Iterator[Item]]) -> AsyncGenerator[list[Item], None]:
    """The items of what `make` gives, all that are there at a time; raises what it raises.

    The generator runs on to its end also when nobody listens any more: whoever leaves early tells it so.
    """
    loop = asyncio.get_running_loop()
    came: deque[Item | _End] = deque()
    arrived = asyncio.Event()

    def tell(item: Item | _End) -> None:
        came.append(item)
        if len(came) > 1:  # the one before has woken the loop, which takes all that is there
            return
        with suppress(RuntimeError):  # the loop is closed: nobody listens
            loop.call_soon_threadsafe(arrived.set)

    def work() -> None:
        try:
            for item in make():
                tell(item)
        except Exception as error:
            tell(_End(error))
        else:
            tell(_End(None))

    pool.submit(work)
    while True:
        await arrived.wait()
        arrived.clear()
        items: list[Item] = []
        end: _End | None = None
        while came and end is None:
            item = came.popleft()
            if isinstance(item, _End):
                end = item
            else:
                items.append(item)
        if items:
            yield items
        if end is not None:
            if end.error is not None:
                raise end.error
            return


class _End:
    """The end of the items, and the error that it was, if any."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
