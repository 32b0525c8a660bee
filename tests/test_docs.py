"""The documentation: generated parts are current, links resolve, and every code block is valid."""

import ast
import importlib
import inspect
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from keyfactor_provider import MemberState, OrchestratorReenrollment, Phase, ReenrollmentCompletion, orchestrators
from keyfactor_provider.command.settings_table import SETTINGS
from keyfactor_provider.errors import ProviderError
from keyfactor_provider.messages import KINDS
from tools import messages
from tools.docs import MADE, ROOT, current

PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").rglob("*.md"),
        *(ROOT / "bench").glob("*.md"),
    ]
)
SETTINGS_PAGE = (ROOT / "docs" / "settings.md").read_text()
PULUMI_PAGE = (ROOT / "docs" / "pulumi.md").read_text()
CONCEPTS_PAGE = (ROOT / "docs" / "concepts.md").read_text()

SHELL = ("", "sh", "shell", "bash")
TERRAFORM = ("terraform", "hcl")
UNPARSED = {"text", "console", "mermaid", "typescript", "go", "csharp", "java", "diff", "markdown", "dockerfile", "ini"}
"""The languages of blocks that no test parses; the shell lines of a `console` block are parsed."""


@dataclass(frozen=True)
class Block:
    """A block of code in a page."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks() -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text()
        for match in re.finditer(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL):
            lines = [line.removeprefix(match[1]) for line in match[3].splitlines()]
            yield Block(page, text[: match.start()].count("\n") + 1, match[2], "\n".join(lines) + "\n")


BLOCKS = list(blocks())


def of(*languages: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("block", [each for each in BLOCKS if each.language in languages], ids=str)


# Generated parts


@pytest.mark.parametrize("page", MADE)
def test_what_is_made_from_the_code_is_current(page: str) -> None:
    assert (ROOT / page).read_text() == current(page), "run: python -m tools.docs"


def kinds_in_the_code() -> set[str]:
    found = set()
    for file in (ROOT / "keyfactor_provider").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                # The preflight checks build their messages with `warning(KIND, ...)`.
                place = {"Message": 2, "warning": 0}.get(node.func.id)
                if place is not None and isinstance(node.args[place], ast.Constant):
                    found.add(str(ast.literal_eval(node.args[place])))
    return found


def test_every_kind_of_message_is_explained_and_no_other() -> None:
    assert kinds_in_the_code() == set(KINDS)


def test_every_kind_of_message_has_an_example() -> None:
    assert messages.messages().keys() == KINDS.keys()


def test_every_class_of_error_has_a_remedy_and_an_example() -> None:
    def below(kind: type[ProviderError]) -> Iterator[type[ProviderError]]:
        for each in kind.__subclasses__():
            if each.__module__ == ProviderError.__module__:
                yield each
                yield from below(each)

    classes = set(below(ProviderError))
    assert [each for each in classes if "remedy" not in vars(each)] == []
    # CommandError is only raised as one of its subclasses.
    assert {each.__name__ for each in classes - messages.errors().keys()} == {"CommandError"}


# The reference pages


def test_every_setting_is_there_with_all_its_names() -> None:
    for setting in SETTINGS.values():
        names = (
            *setting.environment,
            *setting.profile,
            *((setting.key, setting.attribute) if setting.attribute else ()),
        )
        assert [name for name in names if f"`{name}`" not in SETTINGS_PAGE] == []


def test_every_variable_named_is_one_that_is_read() -> None:
    read = {variable for setting in SETTINGS.values() for variable in setting.environment}
    for page in PAGES:
        assert set(re.findall(r"`(KEYFACTOR_\w+)`", page.read_text())) <= read | {"KEYFACTOR_PASSWORD"}, page


@pytest.mark.parametrize("declared", [OrchestratorReenrollment, ReenrollmentCompletion, orchestrators])
def test_every_argument_is_in_the_reference(declared: type) -> None:
    names = inspect.signature(declared).parameters.keys() - {"name", "opts"}
    assert [name for name in names if f"`{name}`" not in PULUMI_PAGE] == []


def test_every_output_is_in_the_reference() -> None:
    properties = [name for name, value in vars(OrchestratorReenrollment).items() if isinstance(value, property)]
    names = [*properties, *OrchestratorReenrollment.__annotations__, *MemberState.__annotations__]
    assert [name for name in names if f"`{name}`" not in PULUMI_PAGE] == []


def test_every_key_of_the_stack_at_the_root_is_in_the_reference() -> None:
    program = ast.parse((ROOT / "__main__.py").read_text())
    (fleet,) = (node for node in program.body if isinstance(node, ast.ClassDef) and node.name == "Fleet")
    keys = [ast.unparse(node.target) for node in fleet.body if isinstance(node, ast.AnnAssign)]
    section = PULUMI_PAGE.partition("## The stack of this repository")[2]
    assert [key for key in keys if f"`{key}`" not in section] == []


def test_every_phase_is_explained() -> None:
    rows = [line for line in CONCEPTS_PAGE.splitlines() if line.startswith("| `")]
    assert [phase for phase in Phase if not any(f"`{phase.value}`" in row for row in rows)] == []


# Links


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^( *)```.*?^\1```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"^( *)```.*?^\1```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_every_page_is_reached_from_the_index(page: Path) -> None:
    assert page.name == "index.md" or f"({page.name})" in (ROOT / "docs" / "index.md").read_text()


# Code blocks


def test_every_block_is_in_a_language_that_is_read_or_known() -> None:
    read = {*SHELL, *TERRAFORM, "python", "yaml", "json", "toml"}
    assert [str(block) for block in BLOCKS if block.language not in read | UNPARSED] == []


@of("python")
def test_python_compiles_and_what_it_imports_is_there(block: Block) -> None:
    tree = ast.parse(block.text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("keyfactor_"):
            module = importlib.import_module(node.module or "")
            assert [each.name for each in node.names if not hasattr(module, each.name)] == []


@of(*SHELL)
def test_shell_is_parsed(block: Block) -> None:
    parse(block.text)


@of("console")
def test_the_commands_of_a_session_are_parsed(block: Block) -> None:
    commands = [line[2:] for line in block.text.splitlines() if line.startswith("$ ")]
    assert commands
    parse("\n".join(commands))


def parse(script: str) -> None:
    ran = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, timeout=30)
    assert ran.returncode == 0, ran.stderr


@of("yaml")
def test_yaml_is_parsed(block: Block) -> None:
    assert list(yaml.safe_load_all(block.text))


@of("json")
def test_json_is_parsed(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.skipif(shutil.which("terraform") is None, reason="no terraform on the PATH: no HCL of the docs was parsed")
@of(*TERRAFORM)
def test_hcl_is_parsed_and_formatted(block: Block) -> None:
    ran = subprocess.run(
        ["terraform", "fmt", "-check", "-diff", "-"], input=block.text, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.engine
@pytest.mark.timeout(180)
def test_the_tests_that_the_docs_show_pass(tmp_path: Path) -> None:
    shown = [each.text for each in BLOCKS if each.page.name == "testing.md" and "def test_" in each.text]
    assert shown
    for number, text in enumerate(shown):
        (tmp_path / f"test_shown_{number}.py").write_text(text)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
