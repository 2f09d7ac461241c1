"""What may come next, as far as it is worth computing on trust: guesses, and what the grammar forces behind each.

A guess goes on as the answer itself would: a token that may come next, then the text that is forced behind it in its
canonical tokens, then the next guess. So one batch reaches over several choices, and logits are wanted only where a
token is sampled, not inside what is forced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from coalm_lite.decoding.drafts import Draft, Habits, PromptLookup, Recorded
from coalm_lite.decoding.forced import Forced, Joints, forced_tokens
from coalm_lite.decoding.guide import Guide, TextState
from coalm_lite.decoding.pace import FORCED, Pace
from coalm_lite.decoding.trail import QuickLookup
from coalm_lite.decoding.written import Written

_MOST_KNOWN = 64  # texts whose forced continuation is remembered
_LEAST_SAVED_S = 0.002  # an answer: several times what looking for guesses behind the grammar's text takes itself


@dataclass(frozen=True, slots=True)
class Guesses:
    """Tokens that may come next, and for each the kind of guess, FORCED where it follows from those before.

    `not_worth`: the next token as it would have been guessed, and its kind, where no guess was worth it.
    """

    tokens: tuple[int, ...] = ()
    kinds: tuple[str, ...] = ()
    not_worth: tuple[int, str] | None = None

    def wanted(self, before: int) -> list[int]:
        """Where a token is sampled: behind the `before` tokens of the batch that are certain, and behind guesses."""
        ends = [place + 1 for place in range(len(self.kinds)) if self.kinds[place + 1 : place + 2] != (FORCED,)]
        return [before - 1 + count for count in [0, *ends]]


class ForcedText:
    """`forced_tokens` of one answer, remembering what it found: a guess that comes true asks the same again."""

    def __init__(self, tokenize: Callable[[str], list[int]], joints: Joints) -> None:
        self._tokenize = tokenize
        self._joints = joints
        self._known: dict[tuple[bytes, int], Forced | None] = {}

    def behind(self, written: Written, state: TextState) -> Forced | None:
        """How the text that `state` forces behind `written` enters; None if none is forced."""
        key = bytes(written.data), len(written.tokens)
        if key not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[key] = forced_tokens(written, state, self._tokenize, self._joints)
        return self._known[key]


class Guesser:
    """Makes the guesses of one answer; what it has no source for it does not guess."""

    def __init__(
        self, pace: Pace, lookup: PromptLookup, habits: Habits, quick: QuickLookup, recorded: Recorded | None
    ) -> None:
        self._pace = pace
        self._lookup = lookup
        self._habits = habits
        self._quick = quick
        self._recorded = recorded

    def guess(
        self,
        written: Written,
        guide: Guide | None,
        forced: ForcedText,
        tail: Sequence[int],
        most: int,
        answers: int,
    ) -> Guesses:
        """At most `most` tokens that may follow `written`, as many as are worth it beside `answers` answers.

        A recorded answer that is agreed with so far is taken whole. Where a step costs less than the looking, only
        quick guesses are made. `tail`: the end of a forced text, which comes next unless it grows.
        """
        if self._agreed(written):
            return self._as_recorded(_Trial(written.fork(), guide, forced, ()), most)
        if self._pace.cost.parts.fixed / answers < _LEAST_SAVED_S:
            return self._quick_guesses(written, tail, most, answers)
        self._lookup.note(written.tokens)
        trial = _Trial(written.fork(), guide, forced, tuple(tail))
        first = draft = self._draft(trial)
        likely = 1.0
        while True:
            draft, likely = self._paying(draft, likely, answers)
            if not trial.follow(draft, most) or trial.ended or len(trial.kinds) >= most:
                break
            draft = self._draft(trial)
        count = self._pace.worth(trial.kinds[:most], answers)
        if not count and first.tokens and (guide is None or guide.allowed_length(first.tokens[:1])):
            return Guesses(not_worth=(first.tokens[0], first.kinds[0]))
        return Guesses(tuple(trial.tokens[:count]), tuple(trial.kinds[:count]))

    def _quick_guesses(self, written: Written, tail: Sequence[int], most: int, answers: int) -> Guesses:
        """A forced text's tail, or what two searches found; of a guess that is not worth it the first token is told."""
        tokens, kinds = ([*tail], ["tail"] * len(tail)) if tail else self._quick.guess(written.tokens)
        count = self._pace.worth(kinds[:most], answers)
        if count:
            return Guesses(tuple(tokens[:count]), tuple(kinds[:count]))
        return Guesses(not_worth=(tokens[0], kinds[0]) if tokens else None)

    def _agreed(self, written: Written) -> bool:
        """Whether the answer is as the recorded one, which has more."""
        return self._recorded is not None and bool(self._recorded.draft(written.tokens).tokens)

    def _as_recorded(self, trial: _Trial, most: int) -> Guesses:
        """All that is left of the recorded answer, verified in one batch, whatever that costs should it differ."""
        assert self._recorded is not None
        while len(trial.kinds) < most and not trial.ended:
            if not trial.follow(self._recorded.draft(trial.written.tokens), most):
                break
        return Guesses(tuple(trial.tokens[:most]), tuple(trial.kinds[:most]))

    def _paying(self, draft: Draft, likely: float, answers: int) -> tuple[Draft, float]:
        """The draft as far as its tokens can pay, behind guesses that all hold so `likely`; and how likely then."""
        for count, kind in enumerate(draft.kinds):
            with_this = likely * self._pace.chance(kind)
            if not self._pace.pays(with_this, answers):
                return Draft(draft.tokens[:count], draft.kinds[:count]), likely
            likely = with_this
        return draft, likely

    def _draft(self, trial: _Trial) -> Draft:
        """A forced text's tail, or the likelier of what two sources found."""
        answer = trial.written.tokens
        if trial.tail:
            return Draft(trial.tail, ("tail",) * len(trial.tail))
        found = [self._habits.draft(answer, trial.written.token_bytes)]
        if answer:
            found.append(self._lookup.draft(answer))
        return max(found, key=lambda draft: self._pace.chance(draft.kinds[0]) if draft.tokens else 0.0)


class _Trial:
    """An answer as it would be if the guesses came true."""

    def __init__(self, written: Written, guide: Guide | None, forced: ForcedText, tail: tuple[int, ...]) -> None:
        self.written = written
        self.tail = tail
        self.tokens: list[int] = []
        self.kinds: list[str] = []
        self.ended = False
        self._forced = forced
        self._state = None if guide is None else guide.state

    def follow(self, draft: Draft, most: int) -> bool:
        """Take the draft's tokens until one may not come or text is forced behind one; whether there was any."""
        tokens = draft.tokens[: most - len(self.kinds)]
        if self._state is None:
            self._add(tokens, draft.kinds[: len(tokens)])
            self.ended = True
            return bool(tokens)
        before = len(self.kinds)
        for token, kind in zip(tokens, draft.kinds, strict=False):
            piece = self.written.token_bytes(token)
            after = self._state.advance_bytes(piece) if piece else None
            if after is None:
                break
            begun = len(self.kinds)
            self._state, self.tail = after, ()
            self._add((token,), (kind,))
            more = not self._force()
            if self._finished():  # then nothing is sampled behind it, and nothing need be computed
                del self.tokens[begun:], self.kinds[begun:]
                self.ended = True
            if self.ended or not more:
                break
        return len(self.kinds) > before

    def _finished(self) -> bool:
        return self._state is not None and self._state.may_end and not any(self._state.next_characters())

    def _add(self, tokens: Sequence[int], kinds: Sequence[str]) -> None:
        self.tokens += tokens
        self.kinds += kinds
        for token in tokens:
            self.written.append(token)

    def _force(self) -> bool:
        """Go on by the text that is forced here; whether there was any. Ends where other tokens would be replaced."""
        assert self._state is not None
        forced = self._forced.behind(self.written, self._state)
        if forced is None:
            return False
        if forced.tokens and forced.kept < len(self.written.tokens):
            self.ended = True
            return False
        self._add(forced.tokens, (FORCED,) * len(forced.tokens))
        text = b"".join(self.written.token_bytes(token) for token in forced.tokens)
        self._state = self._state.advance_bytes(text)
        self.tail = forced.tail
        return bool(forced.tokens)
