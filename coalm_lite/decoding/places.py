"""Where requests are in work: the lanes, which of them a request gets, when it may begin, what makes room for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from coalm_lite.decoding.guide import Guide
from coalm_lite.decoding.lanes import Lanes
from coalm_lite.decoding.requests import Request
from coalm_lite.decoding.writer import Writer
from coalm_lite.runtime.base import common_prefix_length

Shared: TypeAlias = Mapping[int, int]
_WORTH_WAITING_TOKENS = 64  # of a prompt that another answer's prompt brings: a small batch costs more
_LITTLE_TOKENS = 64  # of another conversation, which are soon computed again


class Slot:
    """A request in work on a lane."""

    def __init__(self, number: int, request: Request, lane: int, writer: Writer, guide: Guide | None) -> None:
        self.number = number
        self.request = request
        self.lane = lane
        self.writer = writer
        self.guide = guide
        self.waiting: list[int] = []  # tokens of the step that are not computed yet
        self.wanted: list[int] = []  # the places among them behind which logits are wanted
        self.prefilled_at: float | None = None

    @property
    def longest(self) -> int:
        """How many tokens its lane may come to hold."""
        return len(self.request.prompt) + self.request.sampling.max_tokens


class Places:
    """The requests in work on `lanes`, `most` at once; a lane without one keeps what it holds, for who goes on there.

    What `shared` tells of a prompt holds until something is computed; `fits` may empty lanes, and `lane_for` sees it.
    """

    def __init__(self, lanes: Lanes, most: int) -> None:
        self.slots: list[Slot] = []
        self._lanes = lanes
        self._most = min(most, lanes.count)
        self._used: dict[int, int] = dict.fromkeys(range(lanes.count), 0)  # lane: the request that had it last

    @property
    def full(self) -> bool:
        """Whether no further request may be in work."""
        return len(self.slots) == self._most

    def enter(self, slot: Slot) -> None:
        """The slot's lane is in use from now on."""
        self.slots.append(slot)
        self._used[slot.lane] = slot.number

    def shared(self, prompt: Sequence[int]) -> Shared:
        """How much of a prompt's beginning each lane holds."""
        return {lane: common_prefix_length(self._lanes.held(lane), prompt) for lane in self._used}

    def soon_shared(self, prompt: Sequence[int], shared: Shared) -> bool:
        """Whether much of a prompt is being computed just now for another answer, and will be there to share.

        Computed beside it, it would take its time and its room twice, and slow every later batch down.
        """
        begun = [slot for slot in self.slots if slot.prefilled_at is None]
        if not begun or not self._lanes.verifies:
            return False
        coming = max(common_prefix_length(slot.request.prompt, prompt) for slot in begun)
        return coming - max(shared.values()) > _WORTH_WAITING_TOKENS

    def fits(self, request: Request, shared: Shared) -> bool:
        """Whether its longest answer fits beside those of the others; empties lanes that are not in use for it."""
        taken = sum(max(0, slot.longest - len(self._lanes.held(slot.lane))) for slot in self.slots)
        source = max(shared, key=shared.__getitem__)
        wanted = len(request.prompt) + request.sampling.max_tokens - shared[source] + taken
        return self.make_room(wanted, [lane for lane in self.idle() if lane != source])

    def idle(self) -> list[int]:
        """The lanes that no answer is on, the longest unused first."""
        taken = {slot.lane for slot in self.slots}
        return sorted(set(self._used) - taken, key=self._used.__getitem__)

    def make_room(self, wanted: int, lanes: Sequence[int]) -> bool:
        """Whether there is room for `wanted` tokens, perhaps after emptying some of `lanes`."""
        for lane in lanes:
            if wanted <= self._lanes.free_tokens():
                break
            self._lanes.cut(lane, 0)
        return wanted <= self._lanes.free_tokens()

    def lane_for(self, shared: Shared) -> int:
        """An idle lane: of those that hold little but the prompt's beginning the one with the most of it, the newest.

        Where there is none, the longest unused: another conversation may go on from what the others hold.
        """
        idle = self.idle()
        begins = [lane for lane in idle if shared[lane] and 0 <= self._rest(lane, shared) <= _LITTLE_TOKENS]
        return max(reversed(begins), key=shared.__getitem__, default=idle[0])

    def _rest(self, lane: int, shared: Shared) -> int:
        """What the lane holds besides; negative where it was emptied since."""
        return len(self._lanes.held(lane)) - shared[lane]
