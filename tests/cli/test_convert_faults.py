"""Conversions that go wrong, for real: exit code, a message that names file and tensor, no OUT that is not whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.convert_faults import FAULTS, MOUNTING, Fault
from tests.cli.convert_scene import scene
from tests.cli.fault_table import can_mount


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_ends_as_it_should(fault: Fault, tmp_path: Path) -> None:
    if fault.name.startswith(MOUNTING) and not can_mount():
        pytest.skip("disks cannot be mounted here")
    with scene(tmp_path) as place:
        place.kills = 4  # 20 when the table is made
        outcome = fault.drive(place)
        assert (outcome.code, "Traceback" in outcome.err) == (fault.code, False), outcome
        for words in fault.words:
            assert words in outcome.message
        assert fault.code in (0, 130) or "hint: " in outcome.err
        assert place.left() == sorted(fault.left)
        assert place.is_whole() is (fault.code == 0)
