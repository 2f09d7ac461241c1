"""Small suites with pins of their own, so that fetching is tested on bytes made here."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import Any

from coalm_lite.evals.data.pins import Pin, PinnedSuite

FILES = {"one.json": b'[{"a": 1}]' * 4000, "below/two.json": b"{}"}
EMPTY = {"book": {"booked": [], "people": ""}, "semi": {"area": "not mentioned", "name": ""}}


def apibank(files: dict[str, bytes] | None = None) -> PinnedSuite:
    """Plain files, in the folder of API-Bank."""
    pins = tuple(pin(path, content) for path, content in (files or FILES).items())
    return PinnedSuite("apibank", "made here", "CC0", "nowhere", pins)


def pin(path: str, content: bytes, address: str = "http://127.0.0.1:9/public") -> Pin:
    return Pin(path, f"{address}/{path}", hashlib.sha256(content).hexdigest(), len(content))


def git_pin(path: str, content: bytes) -> Pin:
    """A pin of unknown size, by the name that git gives the content."""
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    return Pin(path, f"http://127.0.0.1:9/public/{path}", blob)


def zipped(members: dict[str, bytes | str]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def wheel(members: dict[str, bytes | str]) -> tuple[PinnedSuite, bytes]:
    """A wheel, in the folder of BFCL's executors."""
    content = zipped(members)
    return PinnedSuite("bfcl-executors", "made here", "CC0", "nowhere", (pin("made.whl", content),), "wheel"), content


def dialogues() -> dict[str, Any]:
    """Two dialogues in the published form of data.json; only the first is a test one."""
    hotel = {"book": {"booked": [{"name": "x"}], "people": "2"}, "semi": {"area": "north<centre", "name": "none"}}
    log = [
        {"text": "A hotel in the north?", "metadata": {}},
        {"text": "Which one?", "metadata": {"hotel": EMPTY, "police": {"book": {}, "semi": {"name": "x"}}}},
        {"text": 'For two, "please" }.', "metadata": {}},
        {"text": "Booked.", "metadata": {"hotel": hotel, "taxi": {"book": {}, "semi": {"leaveAt": "9:15"}}}},
    ]
    goal = {"hotel": {"info": {"area": "north"}}, "message": []}
    return {"A1.json": {"goal": goal, "log": log}, "B2.json": {"goal": {}, "log": log[:2]}}


def multiwoz(test_list: str = "A1.json\n") -> tuple[PinnedSuite, bytes]:
    """An archive in the form of MultiWOZ 2.4's, pinned as that one is: by git's name, without a size."""
    data = json.dumps(dialogues(), indent=4).encode()
    members = {
        "M/data.json": data,
        "M/testListFile.json": test_list,
        "M/ontology.json": "{}",
        "__MACOSX/data.json": b"?",
    }
    content = zipped(members)
    pins = (git_pin("made.zip", content), pin("db/taxi_db.json", b"[]"))
    suite = PinnedSuite("multiwoz", "made here", "CC0", "nowhere", pins, "multiwoz", hashlib.sha256(data).hexdigest())
    return suite, content
