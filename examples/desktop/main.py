"""The example's entry: reads the options, opens the window and leaves when the engine is gone.

python main.py [--model NAME] [--scheme light|dark] [--measure-gaps FILE]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from PySide6.QtWidgets import QApplication

from gaps import GapMeter
from style import dark_palette, light_palette
from talk import Settings
from window import MainWindow

_SWITCH_S = 0.0005
_SCHEMES = {"light": light_palette, "dark": dark_palette}


def main() -> int:
    """The app's exit code."""
    options = _options()
    # The window's thread takes Python's lock many times in a turn of its loop. While a model is opened on another one,
    # which imports and reads, each time would cost it Python's usual 5 ms.
    sys.setswitchinterval(_SWITCH_S)
    app = QApplication(sys.argv[:1])
    app.setApplicationName("coalm-lite desktop")
    app.setStyle("Fusion")
    if options.scheme:
        app.setPalette(_SCHEMES[options.scheme]())
    app.setQuitOnLastWindowClosed(False)  # the engine is let go first
    meter = GapMeter(options.measure_gaps) if options.measure_gaps else None
    settings = Settings(
        isolate=not options.in_process,
        max_tokens=options.max_tokens,
        database=options.database,
        tools=not options.no_tools,
    )
    window = MainWindow(settings, options.model or _usual_model(), meter)
    window.gone.connect(app.quit)
    window.show()
    code = app.exec()
    if meter:
        meter.mark("gone")
        meter.write()
    return code


def _usual_model() -> str:
    """The model that was pulled or chosen last, else the embedded one."""
    from coalm_lite.store.names import default_model

    return default_model().name


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="A desktop chat with a model that calls functions, all on this machine."
    )
    parser.add_argument("--model", help="a pulled model's name or a GGUF file (default: the last one, else nano)")
    parser.add_argument("--scheme", choices=_SCHEMES, help="the colours (default: the system's)")
    parser.add_argument("--database", type=Path, help="where bookings are kept (default: the user's data folder)")
    parser.add_argument("--max-tokens", type=int, default=512, help="the longest answer")
    parser.add_argument("--no-tools", action="store_true", help="words alone: the model is given no functions")
    parser.add_argument("--in-process", action="store_true", help="run the engine in this process")
    parser.add_argument("--measure-gaps", type=Path, metavar="FILE", help="measure whether the window ever blocks")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
