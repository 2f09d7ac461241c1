"""Whether a conversation met its goal: Inform and Success by rules, not by a judge model.

NOT the figures of the paper, which had another simulated user and a language model as judge. The rules, for each domain
of the goal:

* informed: every venue or train that stands as the offer (talk.py) has all the wanted values. A taxi: it was booked
  right.
* told: every requested attribute of one offered venue that fits stands in the system's words while the domain was
  talked about (rows.py says when words tell a value); what only an observation shows was not told.
* booked: the last booking in the domain, if one is wanted, has the wanted people, day, nights or time and a venue or
  train that fits; a taxi's has the wanted ends and times.

Inform wants every domain informed; Success wants every domain informed, told and booked. Beside them "acted" wants
every domain informed and booked: what a model did, whatever it said.
"""

from __future__ import annotations

from dataclasses import dataclass

from coalm_lite.demo import names
from coalm_lite.evals.items import FAIL, PASS, Metric, Share
from coalm_lite.evals.multiwoz import rows
from coalm_lite.evals.multiwoz.goals import DomainGoal
from coalm_lite.evals.multiwoz.talk import Talk
from coalm_lite.types import JsonObject

METRICS = (
    Metric("success", "Success (rules)", headline=True),
    Metric("inform", "Inform (rules)", headline=True),
    Metric("acted", "Informed and booked (rules)"),
    Metric("booked", "Bookings made right (rules)", pass_fail=False),
    Metric("told", "Requested attributes told (rules)", pass_fail=False),
)


@dataclass(frozen=True, slots=True)
class DomainResult:
    """What came of one domain: `wrong_booking` where one is wanted, and the requested attributes not told."""

    domain: str
    informed: bool
    wants_booking: bool
    wrong_booking: bool
    untold: tuple[str, ...]
    requested: int

    @property
    def problem(self) -> str:
        """What was wrong, in words; "" if nothing."""
        problems = [] if self.informed else ["not informed"]
        problems += ["not booked right"] if self.wrong_booking and self.informed else []
        problems += [f"not told: {', '.join(self.untold)}"] if self.untold and self.informed else []
        return f"{self.domain}: {'; '.join(problems)}" if problems else ""


def judge(talk: Talk) -> tuple[DomainResult, ...]:
    """What came of each domain of a conversation's goal."""
    return tuple(_result(talk, goal) for goal in talk.goal.domains)


def scores(results: tuple[DomainResult, ...]) -> dict[str, Share]:
    """The metrics' scores of a conversation; shares of bookings and attributes only where any are wanted."""
    bookings = [result for result in results if result.wants_booking]
    requested = sum(result.requested for result in results)
    return {
        "success": FAIL if any(result.problem for result in results) else PASS,
        "acted": PASS if all(result.informed and not result.wrong_booking for result in results) else FAIL,
        "inform": PASS if all(result.informed for result in results) else FAIL,
        "booked": Share(sum(not result.wrong_booking for result in bookings), len(bookings)),
        "told": Share(requested - sum(len(result.untold) for result in results), requested),
    }


def _result(talk: Talk, goal: DomainGoal) -> DomainResult:
    wants_booking = bool(goal.booking) or goal.domain == "taxi"
    right = booked_right(talk, goal)
    offered = talk.offered.get(goal.domain, [])
    informed = right if goal.domain == "taxi" else bool(offered) and len(talk.fitting(goal.domain)) == len(offered)
    return DomainResult(
        goal.domain, informed, wants_booking, wants_booking and not right, untold(talk, goal), len(goal.requested)
    )


def booked_right(talk: Talk, goal: DomainGoal) -> bool:
    """Whether the last booking in a domain is the wanted one."""
    booking = talk.booked.get(goal.domain)
    if booking is None:
        return False
    if goal.domain == "taxi":
        return _ride_right(talk, goal, booking)
    details = all(str(booking.get(slot)) == str(value) for slot, value in goal.booking.items())
    return details and any(rows.fits(row, goal.wanted) for row in talk.booked_rows[goal.domain])


def _ride_right(talk: Talk, goal: DomainGoal, booking: JsonObject) -> bool:
    ends = zip(talk.ends_of_ride(), ("departure", "destination"), strict=True)
    times = [key for key in ("leave_at", "arrive_by") if key in goal.wanted]
    same = all(wanted and bool(names.matches(str(booking[key]), [wanted])) for wanted, key in ends)
    return same and all(booking.get(key) == goal.wanted[key] for key in times)


def untold(talk: Talk, goal: DomainGoal) -> tuple[str, ...]:
    """The requested attributes that the system's words have not told: of the offered venue of which they told most."""
    words = talk.words(goal.domain)
    if goal.domain == "taxi":
        offered = [talk.booked[goal.domain]] if goal.domain in talk.booked else []
    else:
        offered = talk.fitting(goal.domain)
    people = int(str(goal.booking.get("people", 1)))
    missing = [tuple(a for a in goal.requested if not rows.told(a, row, words, people)) for row in offered]
    return min(missing, key=len, default=goal.requested)
