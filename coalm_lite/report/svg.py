"""Elements of SVG as escaped markup, and labels that keep clear of each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from coalm_lite.report.html_text import visible

CHARACTER_WIDTH = 6.6  # of the plots' text, at its size of 12
LINE_HEIGHT = 13.0


def element(name: str, *children: str, **attributes: str | float) -> Markup:
    """An element; `_` in an attribute's name stands for `-`, at the end for nothing. Plain text is escaped."""
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _number(value))
        for key, value in attributes.items()
    )
    inner = Markup("").join(child if isinstance(child, Markup) else visible(child) for child in children)
    return Markup("<{name}{written}>{inner}</{name}>").format(name=name, written=written, inner=inner)


def _number(value: str | float) -> str:
    return visible(value) if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")


def picture(name: str, title: str, description: str, width: float, height: float, body: Sequence[Markup]) -> Markup:
    """A whole plot, which a screen reader tells by its title and description. `name` is unlike every other's."""
    return element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", description, id=f"{name}-text"),
        *body,
        class_="plot",
        role="img",
        viewBox=f"0 0 {width:g} {height:g}",
        aria_labelledby=f"{name}-title {name}-text",
    )


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on a plot."""

    left: float
    top: float
    width: float
    height: float

    def overlap(self, other: Box) -> float:
        """The area that both cover."""
        across = min(self.left + self.width, other.left + other.width) - max(self.left, other.left)
        down = min(self.top + self.height, other.top + other.height) - max(self.top, other.top)
        return max(across, 0.0) * max(down, 0.0)


def cut_label(text: str, most: int = 18) -> str:
    """A label that a plot has room for."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def clear_of(text: str, around: Box, taken: Sequence[Box], within: Box) -> Box:
    """Where a label is to stand beside a mark: inside `within`, and over as little as can be of what is taken."""
    width = len(text) * CHARACTER_WIDTH
    boxes = [_held(box, within) for box in _places(width, around)]
    return min(boxes, key=lambda box: sum(box.overlap(other) for other in (*taken, around)))


def _places(width: float, around: Box) -> Iterator[Box]:
    """Above, below, right and left of a mark, then further away and askew."""
    middle = around.left + (around.width - width) / 2
    below = around.top + around.height
    yield Box(middle, around.top - LINE_HEIGHT - 2, width, LINE_HEIGHT)
    yield Box(middle, below + 2, width, LINE_HEIGHT)
    across = around.top + (around.height - LINE_HEIGHT) / 2
    yield Box(around.left + around.width + 3, across, width, LINE_HEIGHT)
    yield Box(around.left - width - 3, across, width, LINE_HEIGHT)
    for far in (1, 2):
        for left in (middle, middle - width / 2, middle + width / 2):
            yield Box(left, around.top - (far + 1) * LINE_HEIGHT - 2, width, LINE_HEIGHT)
            yield Box(left, below + 2 + far * LINE_HEIGHT, width, LINE_HEIGHT)


def _held(box: Box, within: Box) -> Box:
    left = min(max(box.left, within.left), within.left + within.width - box.width)
    top = min(max(box.top, within.top), within.top + within.height - box.height)
    return Box(left, top, box.width, box.height)
