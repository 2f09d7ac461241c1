"""A thread's work seen from the event loop: a generator's items as they come, on another thread."""

from __future__ import annotations

import asyncio
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
    came: asyncio.Queue[Item | _End] = asyncio.Queue()

    def tell(item: Item | _End) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens
            loop.call_soon_threadsafe(came.put_nowait, item)

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
        items: list[Item] = []
        item = await came.get()
        while not isinstance(item, _End):
            items.append(item)
            if came.empty():
                break
            item = came.get_nowait()
        if items:
            yield items
        if isinstance(item, _End):
            if item.error is not None:
                raise item.error
            return


class _End:
    """The end of the items, and the error that it was, if any."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
