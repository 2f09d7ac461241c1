"""Licences that allow no commercial use, and which of them the user has accepted: asked once, then remembered.

accepted-licenses.json in the configuration folder: a list of licences as they were shown
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from coalm_lite import paths
from coalm_lite.store.files import store_errors, write_whole

_NON_COMMERCIAL = re.compile(r"(?<![a-z])nc(?![a-z])|non-?commercial", re.IGNORECASE)


def is_non_commercial(license_name: str) -> bool:
    """Whether a licence, by its name on the Hub (as cc-by-nc-4.0), forbids commercial use."""
    return _NON_COMMERCIAL.search(license_name) is not None


def is_accepted(license_text: str) -> bool:
    """Whether the user has accepted this licence."""
    return license_text in _accepted()


def accept(license_text: str) -> None:
    """Remember that the user has accepted this licence."""
    listed = sorted({*_accepted(), license_text})
    write_whole(_accepted_file(), json.dumps(listed, ensure_ascii=False, indent=1) + "\n")


def _accepted_file() -> Path:
    return paths.config_dir() / "accepted-licenses.json"


def _accepted() -> set[str]:
    """The accepted licences; none when the file is damaged, so that the user is asked again."""
    path = _accepted_file()
    with store_errors(path):
        data = path.read_bytes() if path.is_file() else b"[]"
    try:
        listed = json.loads(data)
    except ValueError:
        return set()
    return {text for text in listed if isinstance(text, str)} if isinstance(listed, list) else set()
