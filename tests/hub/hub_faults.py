"""What the test hub does wrong on command, and what it records of each request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Place = Literal["api", "resolve", "cdn"]


@dataclass(frozen=True)
class Refusal:
    """One answer other than the right one, given to the next request at `where`."""

    status: int
    where: Place = "resolve"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Faults:
    """What goes wrong. The lists are used up from the front, one entry by one body (or request, for `refusals`)."""

    cut_after: list[int] = field(default_factory=list)  # the connection is cut after so many bytes of a body
    flip: list[int] = field(default_factory=list)  # the byte at this offset of the file is inverted, if in the body
    stall_after: list[int] = field(default_factory=list)  # after so many bytes of a body nothing comes, until the end
    refusals: list[Refusal] = field(default_factory=list)
    ignore_ranges: bool = False  # every answer is 200 with the whole file
    shift_ranges: int = 0  # a range starts so many bytes later than asked, and Content-Range says so
    told_extra_bytes: int = 0  # added to the size that metadata and Content-Range tell
    bytes_per_s: int = 0  # 0: as fast as it goes
    forget_history: bool = False  # an old commit's address gives the newest file, as a careless mirror does
    listed_names: list[str] = field(default_factory=list)  # names that every listing has besides the files
    etag: str = ""  # told instead of the file's own
    commit: str = ""  # told instead of the commit's own


@dataclass
class Request:
    """One request as the server saw it; `bytes_sent` counts the body."""

    method: str
    path: str
    range: str
    had_token: bool
    where: Place
    status: int = 0
    bytes_sent: int = 0
