"""Where coalm-lite keeps a user's files, by the platform's own conventions.

The functions only say a path; whoever writes creates the folder. With the environment variable COALM_LITE_HOME set,
all four are sub-folders of it (`config`, `data`, `cache`, `state`): for tests, portable installs and shared machines.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

APP_NAME = "coalm-lite"
HOME_VARIABLE = "COALM_LITE_HOME"


def config_dir() -> Path:
    """The folder of settings that a user writes or chooses."""
    return _below_home("config") or platformdirs.user_config_path(APP_NAME, appauthor=False)


def data_dir() -> Path:
    """The folder of what must not be lost: models, conversations, bookings."""
    return _below_home("data") or platformdirs.user_data_path(APP_NAME, appauthor=False)


def cache_dir() -> Path:
    """The folder of what can be made again and may be deleted at any time."""
    return _below_home("cache") or platformdirs.user_cache_path(APP_NAME, appauthor=False)


def state_dir() -> Path:
    """The folder of what outlives a run but is not worth a backup: histories, logs."""
    return _below_home("state") or platformdirs.user_state_path(APP_NAME, appauthor=False)


def _below_home(folder: str) -> Path | None:
    home = os.environ.get(HOME_VARIABLE, "")
    return Path(home).expanduser().absolute() / folder if home else None
