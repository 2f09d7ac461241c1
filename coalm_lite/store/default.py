"""The model that is used when none is named: a name in a file of the data folder, written by `pull` and `use`."""

from __future__ import annotations

from pathlib import Path

from coalm_lite import paths
from coalm_lite.errors import StoreError
from coalm_lite.store.files import store_errors, write_whole

_MAX_CHARACTERS = 4096


def default_file() -> Path:
    """Where the default model's name is kept."""
    return paths.data_dir() / "default-model"


def read_default() -> str | None:
    """The default model's name, None when none was set; StoreError when the file cannot be read."""
    path = default_file()
    with store_errors(path):
        if not path.exists():
            return None
        data = path.read_bytes()
    name = data.decode(errors="replace").strip()
    if len(name) > _MAX_CHARACTERS or not name.isprintable() or "\ufffd" in name:
        raise StoreError(f"{path} holds no model's name", "`coalm-lite use NAME` writes it anew.")
    return name or None


def set_default(name: str) -> None:
    """Make `name` the model that is used when none is named."""
    write_whole(default_file(), name + "\n")


def clear_default() -> None:
    """Forget the choice: the embedded model is used when none is named."""
    path = default_file()
    with store_errors(path):
        path.unlink(missing_ok=True)
