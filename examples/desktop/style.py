"""The window's look, made from the system's palette, so that light, dark and high-contrast schemes all hold."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtGui import QColor, QPalette

APPROVE = QColor("#1b7f46")  # white on it has a contrast of 5:1, in either scheme
_BLUE = "#308cc6"
_WHITE = QColor("white")
_READABLE = 4.5  # WCAG's contrast for text


@dataclass(frozen=True, slots=True)
class Colours:
    """What the window is painted in."""

    window: str
    surface: str
    text: str
    dim: str
    line: str
    accent: str
    on_accent: str
    warning: str
    soft: str


def light_palette() -> QPalette:
    """A light scheme, whatever the system's is."""
    return _palette("#efefef", "#ffffff")


def dark_palette() -> QPalette:
    """A dark scheme, whatever the system's is."""
    return _palette("#1d1f21", "#26282b")


def _palette(window: str, base: str) -> QPalette:
    palette = QPalette(QColor(window))  # which works out the others from it
    palette.setColor(QPalette.ColorRole.Window, QColor(window))
    palette.setColor(QPalette.ColorRole.Base, QColor(base))
    for role in (QPalette.ColorRole.Accent, QPalette.ColorRole.Highlight):
        palette.setColor(role, QColor(_BLUE))
    return palette


def colours(palette: QPalette) -> Colours:
    """The colours that go with a palette."""
    window, text = palette.color(QPalette.ColorRole.Window), palette.color(QPalette.ColorRole.WindowText)
    dark = window.lightnessF() < 0.5
    surface = palette.color(QPalette.ColorRole.Base) if not dark else _mix(window, text, 0.07)
    accent = palette.color(QPalette.ColorRole.Accent)
    while _contrast(accent, _WHITE) < _READABLE:
        accent = accent.darker(106)
    return Colours(
        window=_mix(window, surface, 0.35).name(),
        surface=surface.name(),
        text=text.name(),
        dim=_mix(window, text, 0.66).name(),
        line=_mix(window, text, 0.16).name(),
        accent=accent.name(),
        on_accent=_WHITE.name(),
        warning="#e0a53b" if dark else "#a15c00",
        soft=_mix(surface, accent, 0.16 if dark else 0.09).name(),
    )


def _mix(one: QColor, other: QColor, share: float) -> QColor:
    """`one` with a share of the other."""
    parts = [round(a + (b - a) * share) for a, b in zip(_parts(one), _parts(other), strict=True)]
    return QColor(*parts)


def _parts(colour: QColor) -> tuple[int, int, int]:
    return colour.red(), colour.green(), colour.blue()


def _contrast(one: QColor, other: QColor) -> float:
    """WCAG's ratio of two colours' luminances, 1 to 21."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: QColor) -> float:
    red, green, blue = (
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
        for share in (part / 255 for part in _parts(colour))
    )
    return float(0.2126 * red + 0.7152 * green + 0.0722 * blue)


def sheet(c: Colours) -> str:
    """The style sheet of the whole window; `kind` is a property that widgets set on themselves."""
    return f"""
QMainWindow, QDialog, #talk, #talk > QWidget > QWidget {{ background: {c.window}; color: {c.text}; }}
QScrollArea {{ border: none; }}
#header {{ background: {c.surface}; border-bottom: 1px solid {c.line}; }}
#title {{ font-size: 15px; font-weight: 600; }}
#status, [kind="dim"] {{ color: {c.dim}; font-size: 12px; }}
#composer {{ background: {c.surface}; border: 1px solid {c.line}; border-radius: 18px; }}
#composer[focused="true"] {{ border: 1px solid {c.accent}; }}
#composer QPlainTextEdit {{ background: transparent; border: none; color: {c.text}; font-size: 14px; }}
[kind="user"] {{ background: {c.accent}; color: {c.on_accent}; border-radius: 16px; padding: 9px 14px;
  font-size: 14px; selection-background-color: {c.on_accent}; selection-color: {c.accent}; }}
[kind="answer"] {{ background: {c.surface}; color: {c.text}; border: 1px solid {c.line}; border-radius: 16px;
  padding: 9px 14px; font-size: 14px; }}
#card {{ background: {c.soft}; border: 1px solid {c.line}; border-radius: 12px; }}
#card[state="asking"] {{ border: 1px solid {c.accent}; }}
#card[state="failed"], #notice {{ border: 1px solid {c.warning}; border-radius: 12px; }}
#notice {{ background: {c.surface}; }}
[kind="problem"] {{ color: {c.warning}; font-size: 12px; }}
#callname {{ font-weight: 600; font-size: 14px; }}
#state {{ color: {c.dim}; font-size: 12px; }}
#card[state="asking"] #state {{ color: {c.accent if c.surface > "#808080" else c.text}; font-weight: 600; }}
#key {{ color: {c.dim}; }}
#result {{ color: {c.text}; font-size: 12px; }}
QPushButton {{ background: {c.surface}; color: {c.text}; border: 1px solid {c.line}; border-radius: 9px;
  padding: 6px 14px; font-size: 13px; }}
QPushButton:hover {{ border-color: {c.dim}; }}
QPushButton:focus {{ border: 2px solid {c.accent}; padding: 5px 13px; }}
QPushButton:disabled {{ color: {c.dim}; background: {c.window}; }}
QPushButton[kind="main"] {{ background: {c.accent}; color: {c.on_accent}; border-color: {c.accent}; }}
QPushButton[kind="main"]:disabled {{ background: {c.line}; border-color: {c.line}; color: {c.dim}; }}
QPushButton[kind="approve"] {{ background: {APPROVE.name()}; color: white; border-color: {APPROVE.name()}; }}
QPushButton[kind="main"]:focus, QPushButton[kind="approve"]:focus {{ border: 2px solid {c.text}; }}
QPushButton[kind="suggestion"] {{ border-radius: 14px; text-align: left; }}
QPushButton[kind="round"] {{ border-radius: 16px; padding: 0; min-width: 32px; max-width: 32px;
  min-height: 32px; max-height: 32px; background: {c.accent}; border-color: {c.accent}; }}
QPushButton[kind="round"]:disabled {{ background: {c.line}; border-color: {c.line}; }}
QPushButton[kind="link"] {{ border: none; background: transparent; color: {c.dim}; padding: 2px 0;
  text-align: left; font-size: 12px; text-decoration: underline; }}
QListWidget {{ background: {c.surface}; color: {c.text}; border: 1px solid {c.line}; border-radius: 10px; outline: 0; }}
QListWidget::item {{ padding: 8px 10px; border-bottom: 1px solid {c.line}; }}
QListWidget::item:selected {{ background: {c.soft}; color: {c.text}; border-left: 3px solid {c.accent}; }}
QProgressBar {{ background: {c.line}; border: none; border-radius: 4px; max-height: 8px; }}
QProgressBar::chunk {{ background: {c.accent}; border-radius: 4px; }}
QScrollBar:vertical {{ background: transparent; width: 10px; margin: 0; }}
QScrollBar::handle:vertical {{ background: {c.line}; border-radius: 5px; min-height: 30px; }}
QScrollBar::add-line, QScrollBar::sub-line {{ height: 0; }}
"""
