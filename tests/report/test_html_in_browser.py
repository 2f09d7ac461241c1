"""The page in a real Chromium: the filter by keyboard, a narrow screen, dark mode, print, no script, hostile text."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from coalm_lite.report.comparison import Comparison
from coalm_lite.report.html import render
from tests.report import made_up
from tests.report.chromium import PATH, Chromium

pytestmark = pytest.mark.skipif(not PATH, reason="no Chromium is installed")

SHOWN = "[...document.querySelectorAll('.flip')].filter((flip) => flip.checkVisibility()).length"
WHERE = "[...document.querySelectorAll('.flip:not([hidden]) .where')]"
COUNT = "document.getElementById('count').textContent"
TOO_WIDE = """[...document.querySelectorAll('body *')].filter((node) => !node.closest(SCROLLS)
  && node.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map((node) => node.outerHTML)"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("chromium")) as chromium:
        yield chromium


@pytest.fixture
def page(browser: Chromium, tmp_path: Path) -> Chromium:
    """Five models' report, as on a desk."""
    return opened(browser, tmp_path, made_up.comparison())


def opened(browser: Chromium, folder: Path, comparison: Comparison, width: int = 1280) -> Chromium:
    browser.send("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
    browser.send("Emulation.setEmulatedMedia", media="", features=[])
    browser.send("Emulation.setScriptExecutionDisabled", value=False)
    path = folder / "report.html"
    path.write_text(render(comparison), encoding="utf-8")
    browser.open(path)
    return browser


def focus(page: Chromium, selector: str) -> None:
    page.value(f"document.querySelector({selector!r}).focus()")


def test_it_loads_nothing_and_the_policy_refuses_nothing_of_ours(page: Chromium) -> None:
    assert [address for address in page.requests() if not address.startswith("file:")] == []
    assert page.complaints() == []
    assert page.value("getComputedStyle(document.querySelector('.chip')).borderRadius") == "99px"


def test_the_filter_is_driven_by_keyboard_alone(page: Chromium) -> None:
    assert page.value(COUNT) == "All 52 items fit; the first 30 are shown."
    assert page.value(SHOWN) == 30
    focus(page, "[name=run]")
    page.type("Q2")
    assert page.value(COUNT) == "14 of 52 items fit."
    assert page.value(
        "[...new Set([...document.querySelectorAll('.flip:not([hidden])')].map((f) => f.dataset.run))]"
    ) == ["4"]
    for _ in range(3):
        page.press("Tab")
    assert page.value("document.activeElement.name") == "kind"
    page.type("won")
    assert page.value(COUNT) == "2 of 52 items fit."
    page.press("Tab")
    assert page.value("document.activeElement.name") == "text"
    page.type("zebra")
    assert page.value(COUNT) == "None of 52 items fits."
    page.press("Escape")
    assert page.value(COUNT) == "2 of 52 items fit."
    page.press("Tab")
    page.press("Enter")
    page.value("new Promise((done) => setTimeout(done, 20))")
    assert page.value(COUNT) == "All 52 items fit; the first 30 are shown."


def test_a_metric_and_a_suite_narrow_the_items(page: Chromium) -> None:
    for name, choice in (("metric", "Joint"), ("suite", "multi")):
        focus(page, f"[name={name}]")
        page.type(choice)
        assert page.value(f"{WHERE}.every((where) => where.textContent.startsWith('multiwoz'))")
        assert page.value(SHOWN) > 0


def test_show_more_shows_more_and_goes_there(page: Chromium) -> None:
    focus(page, "#further")
    page.press("Enter")
    assert page.value(SHOWN) == 52
    assert page.value("document.getElementById('more').hidden")
    assert page.value("[...document.querySelectorAll('.flip')].indexOf(document.activeElement)") == 30
    page.press("j")
    page.press("j")
    page.press("k")
    assert page.value("[...document.querySelectorAll('.flip')].indexOf(document.activeElement)") == 31


def test_a_models_count_of_flips_leads_to_them(page: Chromium) -> None:
    focus(page, "[data-show-run='2']")
    page.press("Enter")
    page.value("new Promise((done) => setTimeout(done, 20))")
    assert page.value(COUNT) == "13 of 52 items fit."
    assert page.value("location.hash") == "#flips"


@pytest.mark.parametrize("width", [320, 768, 1280])
@pytest.mark.parametrize("given", [made_up.comparison, made_up.hostile], ids=["plain", "hostile"])
def test_nothing_reaches_over_the_edge_of_a_screen(
    browser: Chromium, tmp_path: Path, width: int, given: object
) -> None:
    page = opened(browser, tmp_path, given(), width)  # type: ignore[operator]
    page.value("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    assert page.value("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    # On a phone a table of scores stands in blocks; the other tables, and it on a desk, scroll within themselves.
    scrolls = "'.symbols, .skip, " + (".strata, thead'" if width < 700 else ".wide'")
    assert page.value(TOO_WIDE.replace("SCROLLS", scrolls)) == []


def test_on_a_phone_the_sides_stand_one_above_the_other_and_cells_name_their_model(
    browser: Chromium, tmp_path: Path
) -> None:
    page = opened(browser, tmp_path, made_up.comparison(), 320)
    left, right = (
        f"document.querySelector('.pair .{side}').getBoundingClientRect()" for side in ("of-base", "of-other")
    )
    assert page.value(f"{left}.bottom <= {right}.top")
    assert (
        page.value("getComputedStyle(document.querySelector('.scores td.regressed'), '::before').content") == '"Q2_K"'
    )
    page = opened(browser, tmp_path, made_up.comparison(), 1280)
    assert page.value(f"{left}.right <= {right}.left")


CONTRAST = """(() => {
  const light = (colour) => {
    const part = colour.match(/[\\d.]+/g).slice(0, 3).map((c) => c / 255)
      .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
  };
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if (!/, 0\\)$|transparent/.test(colour)) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  let worst = [99, ''];
  const all = 'p, small, td, th, .chip, del, ins, summary, dt, dd, .text, h1, h4, a';
  for (const node of document.querySelectorAll(all)) {
    if (!node.checkVisibility()) continue;
    const [one, two] = [light(getComputedStyle(node).color), light(ground(node))].sort((a, b) => b - a);
    const found = (one + 0.05) / (two + 0.05);
    if (found < worst[0]) worst = [found, node.outerHTML.slice(0, 200)];
  }
  return worst;
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_both_modes(page: Chromium, scheme: str) -> None:
    page.send("Emulation.setEmulatedMedia", media="", features=[{"name": "prefers-color-scheme", "value": scheme}])
    ground = page.value("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    ratio, where = page.value(CONTRAST)
    assert ratio >= 4.5, where


def test_print_opens_what_is_folded_and_leaves_the_filter_out(page: Chromium) -> None:
    folded = "document.querySelectorAll('details:not([open])').length"
    before = page.value(folded)
    assert before > 5
    page.value("window.printed = null; addEventListener('beforeprint', () => { window.printed = " + folded + "; })")
    page.send("Page.printToPDF", preferCSSPageSize=True)
    assert page.value("window.printed") == 0
    assert page.value(folded) == before
    page.send("Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    assert not page.value("document.getElementById('filter').checkVisibility()")
    assert page.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_without_script_everything_is_readable(browser: Chromium, tmp_path: Path) -> None:
    opened(browser, tmp_path, made_up.comparison())
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(tmp_path / "report.html")
    assert browser.value(SHOWN) == 52
    assert not browser.value("document.getElementById('filter').checkVisibility()")
    assert browser.value("document.querySelector('h1').textContent").startswith("Q2_K regressed")


def test_hostile_text_does_not_act(browser: Chromium, tmp_path: Path) -> None:
    page = opened(browser, tmp_path, made_up.hostile())
    assert page.complaints() == []
    assert page.value("document.title") != "owned"
    assert page.value("document.scripts.length") == 1
    assert page.value("document.images.length") == 0
    assert page.value("document.querySelectorAll('article.flip article, article.flip script').length") == 0
    focus(page, "[name=text]")
    page.type("<img src=x")
    assert "items fit" in page.value(COUNT)


def test_the_page_has_one_first_heading_no_gap_between_headings_and_names_for_all_controls(page: Chromium) -> None:
    levels = page.value("[...document.querySelectorAll('h1,h2,h3,h4')].map((h) => Number(h.tagName[1]))")
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert page.value("[...document.querySelectorAll('select,input')].every((control) => control.labels.length === 1)")
    ids = page.value("[...document.querySelectorAll('[id]')].map((node) => node.id)")
    assert len(ids) == len(set(ids))
    named = page.value(
        "[...document.querySelectorAll('[aria-labelledby]')]"
        ".flatMap((node) => node.getAttribute('aria-labelledby').split(' '))"
    )
    assert set(named) <= set(ids)
