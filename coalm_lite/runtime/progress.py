"""Whether native code gets on: a count that grows while a model is loaded and while batches are computed.

Only who watches an engine from outside looks at it (coalm_lite.app.worker): a count that stands still for long, while
there is work, means that llama.cpp hangs. A thread of Python's that still runs would say nothing about that.
"""

from __future__ import annotations


class Progress:
    """`count` grows with every tensor that is loaded and with every batch; within long ones too if it is `watched`."""

    def __init__(self) -> None:
        self.count = 0
        self.watched = False


PROGRESS = Progress()  # of this process; here, so that it is at hand before llama.cpp is
