"""What this machine has for a model: memory, as far as this process may use it, and room on a disk.

A container's limit counts (cgroup versions 1 and 2, of this process and of all above it). A resource limit of the shell
(ulimit) and a disk quota that the system does not report are not seen.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from coalm_lite.store.files import store_errors

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")


@dataclass(frozen=True, slots=True)
class Machine:
    """Memory in bytes: what there is for this process in all, and what is free of it now."""

    total_bytes: int
    available_bytes: int


def this_machine() -> Machine:
    """The machine's memory, or the smaller part of it that a container grants."""
    import psutil

    memory = psutil.virtual_memory()
    machine = Machine(memory.total, memory.available)
    groups = _OWN_CGROUPS.read_text(encoding="utf-8") if _OWN_CGROUPS.is_file() else ""
    for granted in granted_by_groups(_CGROUPS, groups):
        machine = Machine(
            min(machine.total_bytes, granted.total_bytes), min(machine.available_bytes, granted.available_bytes)
        )
    return machine


def free_disk_bytes(folder: Path) -> int:
    """The bytes that a file in `folder`, which need not be there yet, can take."""
    with store_errors(folder):
        existing = next(place for place in (folder, *folder.parents) if place.exists())
        return shutil.disk_usage(existing).free


def granted_by_groups(root: Path, own_groups: str) -> Iterator[Machine]:
    """What each memory-limiting cgroup grants; `own_groups` is the text of /proc/self/cgroup, `root` their mount."""
    for line in own_groups.splitlines():
        _, controllers, place = (*line.split(":", 2), "", "")[:3]
        relative = PurePosixPath(place.strip("/"))
        # A container often sees its own group as the root, under a path that is not there: then the root counts.
        for group in (relative, *relative.parents):
            if not controllers:
                yield from _granted(root / group, "memory.max", "memory.current", "inactive_file")
            elif "memory" in controllers.split(","):
                names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
                yield from _granted(root / "memory" / group, *names)


def _granted(group: Path, limit_name: str, usage_name: str, reclaimable_key: str) -> Iterator[Machine]:
    """The group's limit, and what is left of it; file pages that can be dropped are not in use."""
    limit, usage = _number(group / limit_name), _number(group / usage_name)
    if limit is None or usage is None:
        return
    try:
        counters = dict(line.split() for line in (group / "memory.stat").read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError):
        counters = {}
    reclaimable = int(counters.get(reclaimable_key, "0"))
    yield Machine(limit, max(limit - max(usage - reclaimable, 0), 0))


def _number(path: Path) -> int | None:
    """The number in a file; None for no such file, or for `max`."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None
