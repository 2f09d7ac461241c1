"""A virtual screen with keyboard and mouse (Xvfb, xdotool), and a frozen app on it, as a user has them.

What is to be seen is read from the server's own memory (`Xvfb -fbdir`, a file in X's window dump form): a client that
asked the server for a picture would keep it from the app's window for 50 to 110 ms.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy
import psutil
from numpy.typing import NDArray
from PySide6.QtGui import QImage

WIDTH, HEIGHT = 1100, 900
ENGINE_MARK = "coalm_lite.app.worker"
_UNDEVELOPED = ".npy"
_DUMP_HEAD, _HEAD_BYTES, _COLOURS, _COLOUR_BYTES = 25, 0, 19, 12  # of X11/XWDFile.h
_POLL_S = 0.02
_KEY_DELAY_MS = 15


@dataclass(frozen=True, slots=True)
class Screen:
    """A display by its name, and the file that is its memory."""

    display: str
    memory: Path

    def tool(self, *arguments: str) -> None:
        """Move the mouse, click, type: xdotool."""
        subprocess.run(["xdotool", *arguments], env=self._environment(), check=True, timeout=60)

    def type(self, text: str) -> None:
        """Type a line and press Enter."""
        self.tool("type", "--delay", str(_KEY_DELAY_MS), text)
        self.tool("key", "Return")

    def click(self, place: tuple[int, int]) -> None:
        """Click there."""
        self.tool("mousemove", str(place[0]), str(place[1]), "click", "1")

    def shot(self, path: Path) -> None:
        """Keep what is to be seen; `develop` makes the picture, when nobody is measured any more."""
        numpy.save(path.with_suffix(_UNDEVELOPED), self._pixels())

    def find(self, colour: str, left: int = 0, top: int = 0) -> tuple[int, int] | None:
        """The middle of what is painted in exactly this colour (`#rrggbb`), right of and below a point."""
        blue_green_red = [*bytes.fromhex(colour[1:])][::-1]
        rows, columns = numpy.nonzero((self._pixels()[top:, left:, :3] == blue_green_red).all(axis=2))
        if len(rows) < 100:  # a letter's edge may have any colour
            return None
        return int(numpy.median(columns)) + left, int(numpy.median(rows)) + top

    def await_colour(self, colour: str, left: int = 0, top: int = 0) -> tuple[int, int]:
        """As `find`, once it is there."""
        for _ in range(100):
            place = self.find(colour, left, top)
            if place:
                return place
            time.sleep(0.1)
        raise SystemExit(f"nothing on the screen has the colour {colour}")

    def _pixels(self) -> NDArray[numpy.uint8]:
        """Blue, green, red and a byte of nothing. Shape [HEIGHT, WIDTH, 4]."""
        data = self.memory.read_bytes()
        head = numpy.frombuffer(data, ">u4", _DUMP_HEAD)
        start = int(head[_HEAD_BYTES] + head[_COLOURS] * _COLOUR_BYTES)
        return numpy.frombuffer(data, numpy.uint8, HEIGHT * WIDTH * 4, start).reshape(HEIGHT, WIDTH, 4)

    def _environment(self) -> dict[str, str]:
        return {"DISPLAY": self.display, "PATH": "/usr/bin:/bin"}


def develop(folder: Path) -> None:
    """The pictures that were taken there, as PNG."""
    for path in folder.glob(f"*{_UNDEVELOPED}"):
        pixels = numpy.ascontiguousarray(numpy.load(path))
        QImage(pixels.data, WIDTH, HEIGHT, WIDTH * 4, QImage.Format.Format_RGB32).save(str(path.with_suffix(".png")))
        path.unlink()


@contextlib.contextmanager
def virtual_screen(display: str = ":78") -> Iterator[Screen]:
    """A screen that is there until the block ends."""
    size = f"{WIDTH}x{HEIGHT}x24"
    with TemporaryDirectory(prefix="coalm-screen-") as folder:
        command = ["Xvfb", display, "-screen", "0", size, "-nolisten", "tcp", "-fbdir", folder]
        server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            time.sleep(2)
            yield Screen(display, Path(folder) / "Xvfb_screen0")
        finally:
            server.terminate()
            server.wait(10)


@dataclass
class App:
    """The app on the screen; `marks` are its own notes of when what happened."""

    process: psutil.Popen
    report_path: Path
    started_at: float
    report: Mapping[str, object] = field(default_factory=dict)

    @property
    def marks(self) -> dict[str, float]:
        """The times of what happened so far, in seconds since 1970, by name; the newest of a name."""
        with contextlib.suppress(OSError, ValueError):  # it is just being written
            self.report = json.loads(self.report_path.read_text(encoding="utf-8"))
        return dict(self.report.get("marks", ()))  # type: ignore[call-overload]

    def engine(self) -> psutil.Process:
        """The engine's process; an app in one file has another one above it."""
        family = self.process.children(recursive=True)
        return next(process for process in family if ENGINE_MARK in process.cmdline())

    def await_mark(self, name: str, limit_s: float = 60, after: float = 0) -> float:
        """When `name` happened, once it has (again, `after` a time)."""
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            marks = self.marks
            if marks.get(name, 0) > after:
                return marks[name]
            if self.process.poll() is not None:
                raise SystemExit(f"the app ended with {self.process.returncode} before {name!r}")
            time.sleep(_POLL_S)
        raise SystemExit(f"{name!r} did not happen in {limit_s:g} s; {self.marks}")

    def await_end(self, limit_s: float = 20) -> float:
        """The seconds until the app was gone, with every process of it."""
        family = [self.process, *self.process.children(recursive=True)]
        started = time.monotonic()
        code = self.process.wait(limit_s)
        left = psutil.wait_procs(family[1:], timeout=5)[1]
        if code or left:
            raise SystemExit(f"the app ended with {code}, and {left} are still there")
        return time.monotonic() - started


@contextlib.contextmanager
def started(program: Path, screen: Screen, environment: Mapping[str, str], *options: str) -> Iterator[App]:
    """The app, from its start; it is killed if the block leaves it there."""
    report = Path(environment["HOME"]) / f"gaps-{time.time_ns()}.json"
    command = [str(program), "--measure-gaps", str(report), *options]
    at = time.time()
    process = psutil.Popen(command, env={**environment, "DISPLAY": screen.display}, cwd="/")
    try:
        yield App(process, report, at)
    finally:
        if process.poll() is None:
            for child in (*process.children(recursive=True), process):
                child.kill()
