from __future__ import annotations

from pathlib import Path

import pytest

from coalm_lite.dialects.base import END_OF_TURN
from coalm_lite.runtime import chat_template
from coalm_lite.runtime.chat_template import TemplateCheck, check_template

PATIENT_S = 60.0  # for templates that end by themselves: a busy machine may take seconds to start a process
TURN = "<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
OPEN = "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
SAME = "{{ bos_token }}{% for m in messages %}" + TURN + "{{ m.content }}{{ eos_token }}{% endfor %}" + OPEN
ENDLESS = "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}"


def outcome(text: str) -> TemplateCheck:
    return check_template(text, PATIENT_S)


def test_a_template_that_writes_coalms_wrapper_is_the_same() -> None:
    assert outcome(SAME) == TemplateCheck("same")


def test_a_different_template_is_told_with_the_first_difference() -> None:
    found = outcome(SAME.replace("{{ m.content }}", "{{ m.content | upper }}"))
    assert found.kind == "different"
    assert found.problem.startswith("sample conversation 1, character 60: it writes 'S THERE A CHEAP HOTEL")
    assert "where coalm-lite writes 's there a cheap hotel" in found.problem


def test_a_difference_in_a_later_conversation_is_found() -> None:
    longer = SAME + "{% if messages | length > 3 %}!{% endif %}"
    assert outcome(longer).problem.startswith("sample conversation 3")
    assert outcome(longer).problem.endswith("it writes '!' where coalm-lite writes ''")


@pytest.mark.parametrize("text", [None, ""])
def test_no_template_is_missing(text: str | None) -> None:
    assert check_template(text).kind == "missing"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{% if %}", "TemplateSyntaxError"),
        ("{{ raise_exception('roles must alternate') }}", "it refuses a plain conversation: roles must alternate"),
        ("{{ messages.nothing.at_all }}", "UndefinedError"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{% include '/etc/passwd' %}", "no loader for this environment"),
    ],
)
def test_a_template_that_does_not_work_fails_and_says_why(text: str, words: str) -> None:
    found = outcome(text)
    assert found.kind == "fails"
    assert words in found.problem


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{% for a in range(200000) %}{% endfor %}",
        "{{ 'a' * 300000 }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}aaaaaaaaaaaa{% endfor %}{% endfor %}",
    ],
)
def test_what_the_sandbox_forbids_or_limits_is_hostile(text: str) -> None:
    assert outcome(text).kind == "hostile"


def test_a_template_that_asks_for_all_memory_is_stopped() -> None:
    pytest.importorskip("resource", reason="this system cannot limit memory")
    assert outcome("{{ ('a' * 10 ** 11) | length }}").kind == "hostile"


def test_a_template_that_does_not_end_is_stopped() -> None:
    assert check_template(ENDLESS, limit_s=2).problem == "it was not done after 2 s"


def test_a_template_deeper_than_the_interpreter_goes_is_no_crash_here() -> None:
    assert outcome("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}").kind == "hostile"


def test_a_template_larger_than_any_real_one_is_not_run() -> None:
    assert check_template(" " * ((1 << 20) + 1)).kind == "hostile"


def test_a_templates_words_cannot_move_a_terminal() -> None:
    problem = outcome("{{ raise_exception('\x1b[2J\x07' ~ 'x' * 999) }}").problem
    assert problem.isprintable()
    assert len(problem) < 320


def test_no_secret_of_the_environment_reaches_the_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = tmp_path / "child.py"
    child.write_text(
        "import json, os\nprint(json.dumps({'kind': 'fails', 'problem': ' '.join(os.environ), 'texts': []}))"
    )
    monkeypatch.setattr(chat_template, "_CHILD", child)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    names = outcome(SAME).problem.split()
    assert "PATH" in names
    assert "HF_TOKEN" not in names


@pytest.mark.parametrize("answer", ["", "[]", "{}", '{"kind": "rendered", "problem": "", "texts": ["a"]}'])
def test_a_child_without_a_proper_answer_is_taken_for_hostile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    (tmp_path / "child.py").write_text(f"print({answer!r})")
    monkeypatch.setattr(chat_template, "_CHILD", tmp_path / "child.py")
    assert outcome(SAME).kind == "hostile"


def test_what_transformers_gives_to_a_template_is_there() -> None:
    features = "{% for m in messages %}{% break %}{% endfor %}{{ messages | tojson }}{{ strftime_now('%d %b %Y') }}"
    found = outcome(features)
    assert found.kind == "different"
    assert 'it writes \'[{"role": "user"' in found.problem


def test_the_wrapper_compared_with_is_the_one_that_prompts_are_written_in() -> None:
    assert chat_template.wrapped((("user", "Hi"),)) == (
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi"
        f"{END_OF_TURN}<|start_header_id|>assistant<|end_header_id|>\n\n"
    )
