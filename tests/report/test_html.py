"""The page says what the comparison holds, is one file, stays small, and no text in it acts."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from coalm_lite.errors import EvalError
from coalm_lite.evals.run import Step
from coalm_lite.report.comparison import Comparison, Likeness
from coalm_lite.report.html import MAX_BYTES, render
from coalm_lite.report.html_text import visible
from coalm_lite.report.numbers import UNKNOWN
from tests.report import made_up

VOID = {"meta", "br", "input", "link", "hr", "img"}


class Page(HTMLParser):
    """A page taken apart: elements that are not closed, elements and attributes that are there, all text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def with_class(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for _, attributes in self.tags if name in (attributes.get("class") or "").split()]


@pytest.fixture(scope="module")
def five() -> str:
    return render(made_up.comparison())


def test_the_verdict_comes_first_in_one_sentence(five: str) -> None:
    page = Page(five)
    assert (
        "<h1>Q2_K regressed; ONNX int4 is undecided, more items would tell; "
        "Q8_0, Q5_K_M and Q4_K_M hold within 2.0 points.</h1>" in five
    )
    assert page.text.index("Q2_K regressed") < page.text.index("Each model")
    assert page.open == []


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("Q4_K_M", "Q4_K_M holds within 2.0 points."),
        ("Q2_K", "Q2_K regressed: Non-live AST fell by 9.3 points (95 % interval 6.9 to 11.7)."),
        (
            "ONNX int4",
            "ONNX int4 is undecided: Non-live AST may have fallen by as much as 2.9 points, and about 410 more items "
            "would decide it; Joint goal accuracy may have fallen by as much as 2.5 points, and about 410 more items "
            "would decide it.",
        ),
    ],
)
def test_a_single_model_gets_a_sentence_with_its_reason(label: str, said: str) -> None:
    assert f"<h1>{said}</h1>" in render(made_up.one_run(label))


def test_every_cell_says_score_difference_interval_verdict_n_and_p(five: str) -> None:
    text = Page(five).text.replace("\N{MINUS SIGN}", "-")
    assert "62.0 regressed -9.3 [-11.7, -6.9] n = 1,150 31 lost, 12 won p < 0.001, corr. 0.002" in text
    assert "29.4 undecided -1.0 [-2.5, +0.5] n = 1,480 in 200 groups" in text
    assert "85.17 published CoALM 8B bf16, paper" in text


def test_headline_metrics_stand_outside_what_is_folded(five: str) -> None:
    scores = five[five.index('id="scores-title"') : five.index('id="plots-title"')]
    before, _, folded = scores.partition("<details")
    assert "Non-live AST" in before
    assert "Joint goal accuracy" in before
    assert "Irrelevance" not in before
    assert "Irrelevance" in folded
    assert "Non-live AST part 3" in folded


def test_a_metric_that_a_run_lacks_is_said_to_be_not_run() -> None:
    whole = made_up.comparison()
    less = replace(whole.runs[0], metrics=whole.runs[0].metrics[:1])
    page = Page(render(replace(whole, runs=(less, *whole.runs[1:]))))
    assert len(page.with_class("none")) == len(whole.runs[0].metrics) - 1


def test_flips_stand_side_by_side_with_the_differing_tokens_marked() -> None:
    base, other = made_up.step("book in Turin now"), made_up.step("book in Lima now")
    flip = made_up.flip(1, "bfcl:non_live", "non_live", "lost", (base,), (other,), note="the town is wrong")
    whole = made_up.one_run("Q2_K")
    page = render(replace(whole, runs=(replace(whole.runs[0], flips=(flip,)),)))
    assert '<div class="text" dir="auto">book in<del> Turin</del> now</div>' in page
    assert '<div class="text" dir="auto">book in<ins> Lima</ins> now</div>' in page
    assert "the town is wrong" in page


def test_only_answers_that_differ_are_shown_with_their_number() -> None:
    same, base, other = made_up.step("Which town?"), made_up.step("a"), made_up.step("b")
    flip = made_up.flip(1, "multiwoz", "jga", "lost", (same, base), (same, other, same))
    whole = made_up.one_run("Q2_K")
    text = Page(render(replace(whole, runs=(replace(whole.runs[0], flips=(flip,)),)))).text
    assert "Answer 1 of 3" not in text
    assert "Answer 2 of 3" in text
    assert "Answer 3 of 3" in text
    assert "No such answer: the conversation went another way." in text


def test_a_long_stretch_that_is_the_same_is_folded_around_the_difference() -> None:
    base, other = (made_up.step("x " * 3000 + end + " y" * 3000) for end in ("Turin", "Lima"))
    flip = made_up.flip(1, "multiwoz", "jga", "lost", (base,), (other,))
    whole = made_up.one_run("Q2_K")
    page = render(replace(whole, runs=(replace(whole.runs[0], flips=(flip,)),)))
    assert re.search(r"\[… [\d,]+ characters, the same in both …\].{0,400}Turin", page)
    assert "x " * 200 not in page


def test_the_file_loads_nothing(five: str) -> None:
    page = Page(five)
    assert not {tag for tag, _ in page.tags} & {"link", "img", "iframe", "object", "embed", "base", "video", "audio"}
    for tag, attributes in page.tags:
        assert not {"src", "srcset", "style", "action", "background"} & attributes.keys(), tag
        assert not [name for name in attributes if name.startswith("on")]
        assert (attributes.get("href") or "#").startswith("#")
    assert "url(" not in five
    assert "@import" not in five


def test_the_policy_allows_this_style_and_script_alone(five: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', five)
    assert policy
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        contents = re.findall(f"<{tag}>(.*?)</{tag}>", five, re.DOTALL)
        assert len(contents) == 1
        digest = b64encode(sha256(contents[0].encode()).digest()).decode()
        assert f"{directive} &#39;sha256-{digest}&#39;" in policy[1]
    assert policy[1].startswith("default-src &#39;none&#39;;")
    assert five.index("Content-Security-Policy") < five.index("<style>")


def test_hostile_text_is_shown_and_does_not_act() -> None:
    page = Page(render(made_up.hostile()))
    assert page.open == []
    assert sum(tag == "script" for tag, _ in page.tags) == 1
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert "<script>document.title = 'owned'</script>" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "⟨U+202E⟩gnorw⟨U+202C⟩" in page.text
    assert not re.search("[\x00\x1b\u202e\ud800]", page.text)


def test_a_character_that_does_not_show_is_made_visible() -> None:
    assert (
        visible("a\0\u200b\x85\u2066\ufeff\r\n\t\x7f")
        == "a⟨U+0000⟩⟨U+200B⟩⟨U+0085⟩⟨U+2066⟩⟨U+FEFF⟩⟨U+000D⟩\n\t⟨U+007F⟩"
    )


def crowded(flips_a_run: int, answer: str) -> Comparison:
    """Far more than there is room for, with one group of a single flip."""
    whole = made_up.comparison()
    base, other = (made_up.step(text, tokenized=False) for text in (answer, answer[::-1]))
    many = tuple(
        made_up.flip(number, "bfcl:non_live", "non_live", "lost", (base,), (other,)) for number in range(flips_a_run)
    )
    lone = made_up.flip(99_999, "apibank", "rouge_l", "won", (made_up.step("[]"),), (made_up.step("[ ]"),))
    runs = [replace(run, flips=many) for run in whole.runs]
    runs[-1] = replace(runs[-1], flips=(*many, lone))
    return replace(whole, runs=tuple(runs))


@pytest.mark.parametrize(
    "answer", ["book a table " * 50, "\u202e" * 1500 + "\0" * 1500, "<&'\">" * 700], ids=["long", "bidi", "tags"]
)
def test_the_file_stays_under_two_megabytes_and_says_what_is_left_out(answer: str) -> None:
    page = render(crowded(300, answer))
    assert 0.9 * MAX_BYTES < len(page.encode()) <= MAX_BYTES
    shown = Page(page).with_class("flip")
    assert f"of which {5 * 300 + 1 - len(shown):,} are left out here" in page
    by_run = [sum(found["data-run"] == str(run) for found in shown) for run in range(5)]
    assert max(by_run) - min(by_run) <= 2
    assert "apibank-99999" in page


def test_what_cannot_fit_is_an_error_that_says_so() -> None:
    whole = made_up.comparison()
    runs = tuple(replace(whole.runs[0], label=f"run {number}") for number in range(300))
    with pytest.raises(EvalError, match=r"The HTML report of 300 runs is .* bytes before any flipped item"):
        render(replace(whole, runs=runs))


def test_texts_of_any_length_in_a_header_do_not_fill_the_file() -> None:
    whole = made_up.comparison()
    huge = "x" * 3_000_000
    header = replace(whole.base, machine=huge, versions={huge: huge}, model=replace(whole.base.model, name=huge))
    assert len(render(replace(whole, base=header, base_label=huge, notes=(huge,))).encode()) <= MAX_BYTES


def test_no_flips_no_sizes_and_no_likeness_still_give_a_page() -> None:
    whole = made_up.one_run("Q4_K_M")
    run = whole.runs[0]
    story = replace(run.header.model, size_bytes=0, sha256="", kind="remote")
    run = replace(run, flips=(), likeness=Likeness(0, 0), header=replace(run.header, model=story))
    page = Page(render(replace(whole, runs=(run,))))
    assert page.open == []
    assert "No item's score changed." in page.text
    assert "size not known" in page.text
    assert "none: a server's model" in page.text


def test_scores_that_are_not_numbers_are_dashes() -> None:
    whole = made_up.one_run("Q4_K_M")
    nan = float("nan")
    metric = replace(whole.runs[0].metrics[0], base=nan, score=nan, difference=nan, low=nan, high=nan, p=nan, units=0)
    page = Page(render(replace(whole, runs=(replace(whole.runs[0], metrics=(metric,)),))))
    assert f"{UNKNOWN} holds {UNKNOWN} [{UNKNOWN}, {UNKNOWN}]" in page.text


def test_an_answer_that_failed_says_why() -> None:
    failed = Step("", 9, "", "error", error="the prompt has 3,000 tokens, the context 2,048")
    flip = made_up.flip(1, "multiwoz", "jga", "lost", (made_up.step("a"),), (failed,))
    whole = made_up.one_run("Q2_K")
    text = Page(render(replace(whole, runs=(replace(whole.runs[0], flips=(flip,)),)))).text
    assert "(nothing)" in text
    assert "no answer: the prompt has 3,000 tokens, the context 2,048" in text


def test_provenance_names_models_hashes_settings_and_commands(five: str) -> None:
    text = Page(five).text
    for part in (
        "0123456789abcdef" * 4,
        "hf:uiuc-convai/CoALM-8B@main",
        "1,150 of 1,150 items; form: hammer",
        "ab" * 32,
        "cd" * 32,
        "x86_64, 2 cores, 24 GiB, Linux",
        "llama-cpp-python (version)",
        "coalm-lite report BASE.jsonl RUN1.jsonl RUN2.jsonl RUN3.jsonl RUN4.jsonl RUN5.jsonl --html report.html",
    ):
        assert part in text


def test_settings_that_differ_are_told_for_each_model() -> None:
    whole = made_up.one_run("Q4_K_M")
    run = whole.runs[0]
    other = replace(whole, runs=(replace(run, header=replace(run.header, machine="aarch64, 8 cores")),))
    assert "F16 : x86_64, 2 cores, 24 GiB, Linux Q4_K_M : aarch64, 8 cores" in Page(render(other)).text


@pytest.mark.parametrize(
    ("drawn", "said"),
    [((200, 200, 200), " --items 200 --seed 7"), ((1150, 526, 200), ""), ((100, 400, 200), "")],
    ids=["items", "whole", "detect"],
)
def test_the_commands_draw_the_same_items_where_one_number_says_how(drawn: tuple[int, int, int], said: str) -> None:
    whole = made_up.one_run("Q4_K_M")
    suites = tuple(replace(suite, items_drawn=number) for suite, number in zip(whole.base.suites, drawn, strict=True))
    text = Page(render(replace(whole, base=replace(whole.base, suites=suites)))).text
    assert f"--suite bfcl:non_live,apibank,multiwoz{said} -o BASE.jsonl" in text
