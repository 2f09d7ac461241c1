"""Many answers in one batch, drafts and forced text: each answer is what plain decoding gives."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from coalm_lite.decoding.drafts import Habits
from coalm_lite.decoding.generate import answer
from coalm_lite.decoding.pace import BatchParts, GivenCost, Pace
from coalm_lite.decoding.requests import Failed, Generated, Piece, Request
from coalm_lite.decoding.sampling import Sampler
from coalm_lite.decoding.scheduler import Scheduler
from coalm_lite.dialects import cra, hammer
from coalm_lite.errors import ContextFullError, DecodingError
from coalm_lite.runtime.base import Cancel, Stretch, common_prefix_length
from coalm_lite.runtime.llamacpp import LlamaEngine
from coalm_lite.runtime.scripted import ScriptedEngine
from coalm_lite.types import Message, Sampling, Segment, ToolSpec
from tests.decoding.one_of import OneOf

AREAS = ("north", "south", "east")
TOOLS = (
    ToolSpec(
        "find_hotels",
        parameters={
            "type": "object",
            "properties": {"area": {"type": "string", "enum": [*AREAS]}, "name": {"type": "string", "maxLength": 40}},
            "required": ["area"],
        },
    ),
    ToolSpec(
        "find_trains",
        parameters={"type": "object", "properties": {"destination": {"type": "string", "maxLength": 40}}},
    ),
)
SAID = (
    "I need a hotel in the north",
    "a train to Quillhaven",
    "Is Larkspur Grand in the south?",
    "hello there",
    "a hotel called Pebble House in the east please",
    "thanks",
)


# The model is too quick for guesses to pay; here they are tried as with a large one.
DEAR_STEPS = GivenCost(BatchParts(fixed=1.0, token=0.1, row=0.02))


def prompt(engine: LlamaEngine, words: str) -> list[int]:
    return engine.tokenize(cra.render([Message("user", words)], TOOLS, True))


def request(engine: LlamaEngine, words: str, drafts: bool = True, **sampling: float) -> Request:
    wanted = Sampling(max_tokens=40, temperature=sampling.get("temperature", 0.0), seed=7)
    return Request(prompt(engine, words), wanted, cra.compiled(TOOLS), drafts=drafts)


def end(engine: LlamaEngine | ScriptedEngine, asked: Request) -> Generated:
    """The end of an answer alone; its pieces must be its text."""
    *pieces, last = answer(engine, asked, Pace(DEAR_STEPS))
    assert isinstance(last, Generated)
    assert "".join(piece.text for piece in pieces if isinstance(piece, Piece)) == last.text
    return last


def ends(engine: LlamaEngine, requests: Sequence[Request]) -> list[Generated | Failed]:
    """The ends of all answers, in the order of the requests, decoded together."""
    scheduler = Scheduler(engine, Pace(DEAR_STEPS))
    numbers = [scheduler.submit(asked) for asked in requests]
    texts: dict[int, str] = {}
    found: dict[int, Generated | Failed] = {}
    for number, event in scheduler.run():
        assert number not in found
        if isinstance(event, Piece):
            texts[number] = texts.get(number, "") + event.text
        else:
            found[number] = event
    for number, event in found.items():
        if isinstance(event, Generated):
            assert event.text == texts.get(number, "")
    return [found[number] for number in numbers]


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_drafts_and_batches_change_no_token(nano: LlamaEngine, temperature: float) -> None:
    plain = [end(nano, request(nano, words, drafts=False, temperature=temperature)) for words in SAID]
    drafted = [end(nano, request(nano, words, temperature=temperature)) for words in SAID]
    together = ends(nano, [request(nano, words, temperature=temperature) for words in SAID])
    assert [each.tokens for each in drafted] == [each.tokens for each in plain]
    assert [each.tokens for each in together if isinstance(each, Generated)] == [each.tokens for each in plain]
    assert sum(sum(each.counts.accepted) for each in drafted) > 0
    assert sum(each.counts.drafted for each in plain) == 0


def test_forced_text_is_cut_as_in_training_where_masking_token_by_token_cuts_it_otherwise(nano: LlamaEngine) -> None:
    """With the automaton, text is entered; with GBNF alone it is sampled, whatever tokens the model likes for it."""
    grammar = hammer.compiled(TOOLS[:1])
    tokens = nano.tokenize(hammer.render([Message("user", SAID[0])], TOOLS[:1], True))
    entered = end(nano, Request(tokens, Sampling(max_tokens=60), grammar, drafts=False))
    sampled = end(nano, Request(tokens, Sampling(max_tokens=60), grammar.gbnf, drafts=False))
    assert entered.counts.forced > 8 > sampled.counts.forced == 0
    assert list(entered.tokens) == nano.tokenize((Segment(entered.text),))
    assert list(sampled.tokens) != nano.tokenize((Segment(sampled.text),))
    assert all(grammar.accepts(each.text) for each in (entered, sampled))


class OneSequence:
    """An engine with the methods of `Engine` alone, as other engines are."""

    def __init__(self, engine: LlamaEngine) -> None:
        self.info = engine.info
        for name in ("tokenize", "token_bytes", "is_end", "prefill", "extend", "logits", "constraint"):
            setattr(self, name, getattr(engine, name))


def test_an_engine_of_one_sequence_gives_the_same_answers(nano: LlamaEngine) -> None:
    for words in SAID[:3]:
        many = end(nano, request(nano, words))
        one = end(OneSequence(nano), request(nano, words))  # type: ignore[arg-type]
        assert one.tokens == many.tokens
        assert one.counts.drafted == 0


def test_a_recorded_answer_is_taken_over_as_far_as_the_model_agrees(nano: LlamaEngine) -> None:
    asked = replace(request(nano, SAID[2]), grammar=None)
    plain = end(nano, replace(asked, drafts=False))
    recorded = end(nano, replace(asked, recorded=plain.tokens))
    assert recorded.tokens == plain.tokens
    assert sum(recorded.counts.accepted) >= len(plain.tokens) // 2
    wrong = [*plain.tokens[:3], 5, 5, *plain.tokens[5:]]
    assert end(nano, replace(asked, recorded=wrong)).tokens == plain.tokens


def test_a_recorded_answer_is_verified_with_the_prompt_in_one_batch(nano: LlamaEngine) -> None:
    asked = request(nano, SAID[2])
    plain = end(nano, replace(asked, drafts=False))
    scheduler = Scheduler(nano, Pace(GivenCost(BatchParts(0.0, 1.0, 0.0))))  # by its cost nothing would be guessed
    scheduler.submit(replace(asked, recorded=plain.tokens))
    (last,) = (event for _, event in scheduler.run() if isinstance(event, Generated))
    assert last.tokens == plain.tokens
    assert scheduler.spent.batches == 1


def test_quick_models_are_guessed_for_by_quick_looks_alone(nano: LlamaEngine) -> None:
    asked = request(nano, SAID[2])
    plain = end(nano, replace(asked, drafts=False))
    pace, habits = Pace(GivenCost(BatchParts(0.001, 0.0001, 0.0))), Habits()
    ends_of_both = []
    for _ in range(2):  # the second finds what the first wrote
        scheduler = Scheduler(nano, pace, habits)
        scheduler.submit(asked)
        ends_of_both += [event for _, event in scheduler.run() if isinstance(event, Generated)]
    assert [each.tokens for each in ends_of_both] == [plain.tokens] * 2
    assert sum(ends_of_both[1].counts.accepted) > 0
    assert set(pace._tried) <= {"tail", *(f"{name} {count}" for name in ("here", "earlier") for count in range(1, 5))}


def test_a_step_that_costs_nothing_is_not_guessed_for(nano: LlamaEngine) -> None:
    *_, last = answer(nano, request(nano, SAID[2]), Pace(GivenCost(BatchParts(0.0, 0.0001, 0.0))))
    assert isinstance(last, Generated)
    assert last.counts.drafted == 0


def test_common_beginnings_are_computed_once(nano: LlamaEngine) -> None:
    ends(nano, [request(nano, "something else")])
    reused = [each.timings.reused_tokens for each in ends(nano, [request(nano, words) for words in SAID])
              if isinstance(each, Generated)]  # fmt: skip
    assert min(reused) > len(prompt(nano, SAID[0])) // 2


def test_a_beginning_of_prompts_that_come_together_is_computed_once(nano: LlamaEngine) -> None:
    for lane in range(nano.sequences):
        nano.cut(lane, 0)
    asked = [request(nano, words) for words in SAID[: nano.sequences]]
    scheduler = Scheduler(nano, Pace(DEAR_STEPS))
    for each in asked:
        scheduler.submit(each)
    assert sum(isinstance(event, Generated) for _, event in scheduler.run()) == len(asked)
    common = min(common_prefix_length(asked[0].prompt, each.prompt) for each in asked[1:])
    assert common > 64
    assert scheduler.spent.prompt_tokens <= sum(len(each.prompt) for each in asked) - (len(asked) - 1) * common


def test_more_conversations_than_answers_at_once_are_gone_on_with(nano: LlamaEngine) -> None:
    """Each turn finds what its conversation held, though others were answered on as many lanes meanwhile."""
    for lane in range(nano.sequences):
        nano.cut(lane, 0)
    scheduler = Scheduler(nano, most=2)
    said = [f"{words}. " * 12 for words in SAID[: nano.sequences]]
    prompts = [prompt(nano, words) for words in said]
    most = 0
    for turn in range(3):
        numbers = {scheduler.submit(Request(each, Sampling(max_tokens=4))): each for each in prompts}
        while scheduler.busy:
            most = max(most, len(scheduler._slots))
            for number, event in scheduler.step():
                if isinstance(event, Generated):
                    assert not turn or event.timings.reused_tokens >= len(numbers[number]) - 5
        prompts = [[*each, 300 + turn, 301, 302, 303, 304] for each in prompts]
    assert most == 2


class Seen(Sampler):
    """Keeps the logits that it is asked about first."""

    first: NDArray[np.float32] | None = None

    def choose(self, logits: NDArray[np.float32], recent_tokens: Sequence[int]) -> int:
        self.first = logits.copy() if self.first is None else self.first
        return super().choose(logits, recent_tokens)


@pytest.mark.parametrize("words", SAID)
def test_what_is_held_of_a_prompt_changes_no_logit(nano: LlamaEngine, words: str) -> None:
    for lane in range(nano.sequences):
        nano.cut(lane, 0)
    samplers = [Seen(Sampling(max_tokens=1)) for _ in range(2)]
    computed, held = (end(nano, Request(prompt(nano, words), each._sampling, sampler=each)) for each in samplers)
    assert computed.timings.reused_tokens == 0
    assert held.timings.reused_tokens == held.timings.prompt_tokens - 2
    first, again = (sampler.first for sampler in samplers)
    assert first is not None and again is not None
    assert (first == again).all()


def test_nothing_is_guessed_where_a_seed_is_to_draw_the_same_again(nano: LlamaEngine) -> None:
    seeded = replace(request(nano, SAID[2]), drafts=None, sampling=Sampling(temperature=0.7, seed=7, max_tokens=40))
    assert end(nano, seeded).counts.drafted == 0
    assert end(nano, replace(seeded, sampling=Sampling(max_tokens=40))).counts.drafted > 0


def test_a_cancelled_prompt_leaves_those_that_waited_for_its_beginning(nano: LlamaEngine) -> None:
    for lane in range(nano.sequences):
        nano.cut(lane, 0)
    first, second = request(nano, SAID[0]), request(nano, SAID[1])
    scheduler = Scheduler(nano)
    scheduler.submit(replace(first, prompt=first.prompt[:-1] * 3))  # longer than a batch
    scheduler.submit(second)
    scheduler.submit(replace(second, prompt=list(second.prompt)[40:]))  # begins like neither
    list(scheduler.step())
    assert scheduler.waiting == 1
    scheduler._slots[0].request.cancel.set()
    reasons = [event.reason for _, event in scheduler.run() if isinstance(event, Generated)]
    assert reasons == ["cancelled", "stop", "stop"]


def test_a_beginning_that_is_held_twice_is_soon_held_once(nano: LlamaEngine) -> None:
    asked = [request(nano, words) for words in SAID[: nano.sequences]]
    for lane in range(nano.sequences):
        nano.cut(lane, 0)
    for lane, each in enumerate(asked):
        nano.compute([Stretch(lane, each.prompt)], Cancel())
    ends(nano, [request(nano, words) for words in ("17", "28", "39", "40")])
    common = min(common_prefix_length(asked[0].prompt, each.prompt) for each in asked[1:])
    held = sum(len(nano.held(lane)) for lane in range(nano.sequences))
    assert nano.info.context_tokens - nano.free_tokens() <= held - (nano.sequences - 1) * (common - 1)


def test_one_requests_error_or_cancel_leaves_the_others(nano: LlamaEngine) -> None:
    cancelled = Cancel()
    cancelled.set()
    too_long = [1] * (nano.info.context_tokens + 1)
    found = ends(
        nano,
        [
            request(nano, SAID[0]),
            replace(request(nano, SAID[1]), cancel=cancelled),
            replace(request(nano, SAID[1]), prompt=too_long),
            replace(request(nano, SAID[1]), prompt=[nano.info.vocabulary_size]),
            replace(request(nano, SAID[1]), prompt=[]),
            request(nano, SAID[1]),
        ],
    )
    first, stopped, full, *wrong, last = found
    assert isinstance(first, Generated) and first.tokens == end(nano, request(nano, SAID[0])).tokens
    assert isinstance(stopped, Generated) and stopped.reason == "cancelled"
    assert isinstance(full, Failed) and isinstance(full.error, ContextFullError)
    assert all(isinstance(each, Failed) and isinstance(each.error, DecodingError) for each in wrong)
    assert isinstance(last, Generated) and last.reason == "stop"


def test_requests_wait_for_room(nano: LlamaEngine) -> None:
    """Each may become half as long as the context, so that two are in work at a time; all are answered."""
    half = nano.info.context_tokens // 2 - len(prompt(nano, SAID[0])) - 20
    asked = [replace(request(nano, words), sampling=Sampling(max_tokens=half)) for words in SAID]
    scheduler = Scheduler(nano)
    for each in asked:
        scheduler.submit(each)
    most, done = 0, 0
    while scheduler.busy:
        done += sum(isinstance(event, Generated) for _, event in scheduler.step())
        most = max(most, len(scheduler._slots))
    assert done == len(SAID)
    assert most < 4


def test_an_answer_that_meets_the_contexts_end_fails_alone(nano: LlamaEngine) -> None:
    long = Request([1 + n % 200 for n in range(nano.info.context_tokens - 3)], Sampling(max_tokens=400))
    failed, other = ends(nano, [long, request(nano, SAID[0])])
    assert isinstance(other, Generated) and other.reason == "stop"
    if isinstance(failed, Generated):
        assert len(failed.tokens) <= 3
    else:
        assert isinstance(failed.error, ContextFullError)


@pytest.mark.parametrize("texts", [("find_hotels(area='north')",), ("ab", "ab\n\n  cd")])
def test_a_grammar_of_few_texts_is_kept_to_by_a_model_that_wants_none_of_them(
    nano: LlamaEngine, texts: tuple[str, ...]
) -> None:
    found = end(nano, Request(prompt(nano, "hello"), Sampling(max_tokens=60), OneOf(texts)))
    assert found.text in texts
    assert found.reason == "stop"
    assert list(found.tokens) == nano.tokenize((Segment(found.text),)) or len(texts) > 1


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_forced_text_stops_at_max_tokens(nano: LlamaEngine, limit: int) -> None:
    found = end(nano, Request(prompt(nano, "hello"), Sampling(max_tokens=limit), OneOf(("find_hotels(area='north')",))))
    assert (len(found.tokens), found.reason) == (limit, "length")
    assert b"".join(map(nano.token_bytes, found.tokens)).decode() == found.text


def test_a_character_of_many_tokens_is_held_by_the_grammar(engine: LlamaEngine) -> None:
    """In the tiny vocabulary every byte is a token, and the model writes bytes at random."""
    texts = ("日本", "日中", "ü", "abc")
    for seed in range(8):
        wanted = Sampling(temperature=2.0, seed=seed)
        assert end(engine, Request([1, 2, seed], wanted, OneOf(texts))).text in texts


def test_generators_that_are_left_leave_a_usable_engine(nano: LlamaEngine) -> None:
    pieces = answer(nano, request(nano, SAID[3]))
    next(pieces)
    pieces.close()
    assert end(nano, request(nano, SAID[0])).reason == "stop"


def test_what_is_scripted_comes_out() -> None:
    engine = ScriptedEngine(["Action: find_hotels(area='north')"])
    found = end(engine, Request([1, 2, 3], Sampling(), "root ::= [a-z]"))
    assert found.text == "Action: find_hotels(area='north')"


def test_a_request_that_is_cancelled_while_it_waits_ends_without_a_lane(nano: LlamaEngine) -> None:
    scheduler = Scheduler(nano, Pace(DEAR_STEPS))
    for words in SAID[:4]:  # as many as there are lanes
        scheduler.submit(request(nano, words))
    waits = request(nano, SAID[4])
    number = scheduler.submit(waits)
    list(scheduler.step())
    assert scheduler.waiting == 1
    waits.cancel.set()
    ended = dict(scheduler.step())[number]
    assert isinstance(ended, Generated)
    assert (ended.reason, ended.text, scheduler.waiting) == ("cancelled", "", 0)
    scheduler.close()


def test_a_batch_of_several_answers_that_is_aborted_changes_none_of_them(nano: LlamaEngine) -> None:
    asked = [request(nano, words) for words in SAID[:2]]
    expected = [each.tokens for each in ends(nano, asked) if isinstance(each, Generated)]
    scheduler = Scheduler(nano, Pace(DEAR_STEPS))
    for each in asked:
        scheduler.submit(each)
    scheduler.abort.set()
    assert list(scheduler.step()) == []
    assert scheduler.busy
    scheduler.abort = Cancel()
    found = {number: event for number, event in scheduler.run() if isinstance(event, Generated)}
    assert [found[number].tokens for number in sorted(found)] == expected


def test_a_text_has_the_same_tokens_beside_another_thread_that_computes(nano: LlamaEngine) -> None:
    text = cra.render([Message("user", SAID[0])], TOOLS, True)
    expected, found, scheduler = nano.tokenize(text), list[list[int]](), Scheduler(nano)
    other = threading.Thread(target=lambda: found.extend(nano.tokenize_beside(text) for _ in range(50)))
    scheduler.submit(request(nano, SAID[1]))
    other.start()
    for _ in scheduler.run():
        pass
    other.join()
    assert found == [expected] * 50
