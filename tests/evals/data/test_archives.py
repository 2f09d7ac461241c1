"""Archives: nothing leads out of the folder, what is missing is told, dialogues keep turns, states and goals."""

from __future__ import annotations

import json
import stat
import zipfile
from pathlib import Path

import pytest

from coalm_lite.errors import StoreError
from coalm_lite.evals.data.archives import convert_multiwoz, dialogue, unpack_wheel
from tests.evals.data.made_suites import dialogues, multiwoz, zipped


def test_a_dialogue_is_turns_with_what_was_said_before_and_the_state_after() -> None:
    told = dialogue("A1.json", dialogues()["A1.json"])
    assert told["turns"] == [
        {"turn_id": 0, "system": "", "user": "A hotel in the north?", "state": {}},
        {
            "turn_id": 1,
            "system": "Which one?",
            "user": 'For two, "please" }.',
            "state": {"hotel-area": "north|centre", "hotel-book people": "2", "taxi-leaveat": "9:15"},
        },
    ]
    assert (told["goal"]["hotel"]["info"], told["last_system"]) == ({"area": "north"}, "Booked.")


def test_only_the_test_list_is_kept_in_its_order(tmp_path: Path) -> None:
    suite, content = multiwoz("B2.json\nA1.json\n")
    (tmp_path / "made.zip").write_bytes(content)
    convert_multiwoz(tmp_path / "made.zip", tmp_path, suite.inner_sha256)
    lines = (tmp_path / "test.jsonl").read_text().splitlines()
    assert [json.loads(line)["dialogue_id"] for line in lines] == ["B2.json", "A1.json"]
    assert (tmp_path / "ontology.json").read_text() == "{}"


def test_data_of_another_hash_name_both(tmp_path: Path) -> None:
    suite, content = multiwoz()
    (tmp_path / "made.zip").write_bytes(content)
    with pytest.raises(StoreError, match=f"has sha256 {suite.inner_sha256}, not {'0' * 64}"):
        convert_multiwoz(tmp_path / "made.zip", tmp_path, "0" * 64)


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"testListFile.json": "A1.json"}, "has no data.json"),
        ({"data.json": "{}"}, "has no testListFile.json"),
        ({"data.json": "{}", "testListFile.json": "A1.json\nB2.json"}, "2 dialogues of its test list are missing"),
        ({"data.json": "{}", "testListFile.json": ""}, "0 dialogues of its test list"),
        ({"data.json": '{"A1.json": {"log": 1}}', "testListFile.json": "A1.json"}, "cannot be unpacked"),
        ({"data.json": '{"A1.json": {} "B2.json"', "testListFile.json": "A1.json"}, "cannot be unpacked"),
        ({"data.json": '{"A1.json"', "testListFile.json": "A1.json"}, "cannot be unpacked"),
        ({"data.json": "[]", "testListFile.json": "A1.json"}, "cannot be unpacked"),
    ],
)
def test_an_archive_of_another_form_is_told(tmp_path: Path, members: dict[str, bytes | str], problem: str) -> None:
    path = tmp_path / "made.zip"
    path.write_bytes(zipped(members))
    with pytest.raises(StoreError, match=problem):
        convert_multiwoz(path, tmp_path, "")
    assert not (tmp_path / "test.jsonl").exists()


@pytest.mark.parametrize("name", ["../out.py", "a/../../out.py", "/out.py", "C:out.py", "a\\..\\out.py"])
def test_a_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "made.whl"
    path.write_bytes(zipped({name: "1"}))
    with pytest.raises(StoreError, match="leads elsewhere"):
        unpack_wheel(path, tmp_path / "folder")
    assert not list(tmp_path.rglob("*.py"))


def test_a_link_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "made.whl"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(StoreError, match="leads elsewhere"):
        unpack_wheel(path, tmp_path / "folder")


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "made.whl"
    path.write_bytes(zipped({f"{number}.py": "" for number in range(5001)}))
    with pytest.raises(StoreError, match="more than expected"):
        unpack_wheel(path, tmp_path / "folder")


def test_what_is_no_archive_is_told(tmp_path: Path) -> None:
    path = tmp_path / "made.whl"
    path.write_bytes(b"PK but no archive")
    with pytest.raises(StoreError, match=r"made\.whl cannot be unpacked"):
        unpack_wheel(path, tmp_path / "folder")
