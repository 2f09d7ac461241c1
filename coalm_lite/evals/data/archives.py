"""Archives turned into the files that suites read: a wheel unpacked, MultiWOZ 2.4's dialogues in the form of turns.

Nothing of a wheel is run or installed. Names that lead out of the folder, links, and more or larger files than the
pinned archives have are refused: a hash is checked before, this holds should a pin ever be wrong.

A dialogue as it is written, one JSON object a line: {dialogue_id, goal, turns: [{turn_id, system, user, state}],
last_system}. `system` is what was said before the user's words; `state` maps `domain-slot` to its value, of the five
domains that are scored, without empty ones; a value's alternatives stand between `|` (published with `<` or `>` too).
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from coalm_lite.errors import StoreError
from coalm_lite.hub.partial import disk_errors

DIALOGUES = "test.jsonl"
_MOST_FILES, _MOST_BYTES = 5_000, 1 << 29
_SCORED = ("attraction", "hotel", "restaurant", "taxi", "train")
_NO_VALUE = frozenset({"", "none", "not mentioned"})
_MARK = re.compile(r"\s*([{}:,])\s*")
_DAMAGED = "Fetch it again; if it stays so, tell the maintainers of coalm-lite."


def unpack_wheel(wheel: Path, folder: Path) -> None:
    """Write a wheel's files below `folder`."""
    with _opened(wheel) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        if len(members) > _MOST_FILES or sum(member.file_size for member in members) > _MOST_BYTES:
            raise StoreError(f"{wheel.name} unpacks to more than expected", _DAMAGED)
        for member in members:
            target = folder / _inside(member, wheel)
            with disk_errors(target, member.file_size):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(member))


def convert_multiwoz(archive_path: Path, folder: Path, data_sha256: str) -> None:
    """Write the test dialogues of MultiWOZ 2.4's archive to `folder`/test.jsonl, and its ontology where it has one."""
    with _opened(archive_path) as archive:
        members = {PurePosixPath(m.filename).name: m for m in archive.infolist() if "__MACOSX" not in m.filename}
        names = _read(archive, members, "testListFile.json").decode("utf-8").split()
        data = _entries(_read(archive, members, "data.json", data_sha256).decode("utf-8"), frozenset(names))
        ontology = _read(archive, members, "ontology.json") if "ontology.json" in members else b""
        missing = [name for name in names if name not in data]
        if missing or not names:
            raise StoreError(f"{archive_path.name}: {len(missing)} dialogues of its test list are missing", _DAMAGED)
        lines = [json.dumps(dialogue(name, data[name]), ensure_ascii=False) + "\n" for name in names]
    with disk_errors(folder), (folder / DIALOGUES).open("w", encoding="utf-8") as file:
        file.writelines(lines)
    if ontology:
        with disk_errors(folder):
            (folder / "ontology.json").write_bytes(ontology)


def _entries(text: str, wanted: frozenset[str]) -> dict[str, dict[str, Any]]:
    """The wanted members of one large JSON object, read one by one: all of them as objects take gigabytes."""
    decoder, found = json.JSONDecoder(), {}
    at = _next(text, 0, "{")
    while text[at] != "}":
        name, end = decoder.raw_decode(text, at)
        entry, end = decoder.raw_decode(text, _next(text, end, ":"))
        if name in wanted:
            found[name] = entry
        at = _next(text, end, ",}")
    return found


def _next(text: str, at: int, marks: str) -> int:
    """Where the next value begins, behind one of these marks and white space; at the mark itself where it is `}`."""
    mark = _MARK.match(text, at)
    if mark is None or mark[1] not in marks:
        raise ValueError(f"one of {marks} expected at character {at}, not {text[at : at + 20]!r}")
    return mark.start(1) if mark[1] == "}" else mark.end()


def dialogue(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    """One dialogue of data.json in the form of turns."""
    said = entry["log"]
    turns = [
        {
            "turn_id": number,
            "system": said[at - 1]["text"] if at else "",
            "user": said[at]["text"],
            "state": _state(said[at + 1]["metadata"] if at + 1 < len(said) else {}),
        }
        for number, at in enumerate(range(0, len(said), 2))
    ]
    last = said[-1]["text"] if len(said) % 2 == 0 else ""
    return {"dialogue_id": name, "goal": entry["goal"], "turns": turns, "last_system": last}


def _state(metadata: dict[str, Any]) -> dict[str, str]:
    state = {}
    for domain in _SCORED:
        parts = metadata.get(domain, {})
        booked = {f"book {slot}": value for slot, value in parts.get("book", {}).items() if slot != "booked"}
        for slot, value in (parts.get("semi", {}) | booked).items():
            text = "|".join(map(str, value)) if isinstance(value, list) else str(value)
            text = re.sub(r"[<>]", "|", text).strip()
            if text.lower() not in _NO_VALUE:
                state[f"{domain}-{slot.lower()}"] = text
    return state


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, NotImplementedError, EOFError, KeyError, TypeError, ValueError, IndexError) as error:
        raise StoreError(f"{path.name} cannot be unpacked: {error!r:.200}", _DAMAGED) from error


def _read(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], name: str, sha256: str = "") -> bytes:
    if name not in members:
        raise StoreError(f"{archive.filename} has no {name}", _DAMAGED)
    if members[name].file_size > _MOST_BYTES:
        raise StoreError(f"{name} of {archive.filename} is larger than expected", _DAMAGED)
    content = archive.read(members[name])
    found = hashlib.sha256(content).hexdigest()
    if sha256 and found != sha256:
        raise StoreError(f"{name} of {archive.filename} has sha256 {found}, not {sha256}", _DAMAGED)
    return content


def _inside(member: zipfile.ZipInfo, wheel: Path) -> Path:
    """A member's path, if it stays inside and is a plain file."""
    path = PurePosixPath(member.filename)
    is_link = (member.external_attr >> 16) & 0o170000 == 0o120000
    if path.is_absolute() or ".." in path.parts or re.search(r'[\\:*?"<>|\0]', member.filename) or is_link:
        raise StoreError(f"{wheel.name} has a file {member.filename!r} that leads elsewhere", _DAMAGED)
    return Path(*path.parts)
