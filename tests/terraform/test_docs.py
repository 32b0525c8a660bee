"""The documentation of the Terraform front end: complete, and every example in it runs."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyfactor_provider.reenrollment.record import Phase
from keyfactor_provider.terraform.provider import ADDRESS
from tests.support.commands import fresh
from tests.support.modules import FIRST_FOUND, Module
from tests.support.plugin import Plugin, plugin
from tests.support.stacks import ROOT

DOCS = ROOT / "docs" / "terraform"
PAGES = sorted(DOCS.rglob("*.md"))
GUIDS = re.compile(r"3f2504e0-4f89-11d3-9a0c-[0-9a-f]{12}")

needs_terraform = pytest.mark.skipif(
    FIRST_FOUND is None, reason="neither terraform nor tofu on the PATH: no example was run"
)


@pytest.fixture(scope="module")
def described() -> Iterator[Plugin]:
    with plugin({}, configured=False) as started:
        yield started


def examples(page: Path) -> list[str]:
    """The Terraform examples of a page."""
    return re.findall(r"```terraform\n(.*?)```", page.read_text(), re.DOTALL)


def test_there_is_one_page_for_each_resource_and_data_source(described: Plugin) -> None:
    kinds = {
        *(f"resources/{name.removeprefix('keyfactorcommand_')}.md" for name in described.schema.resource_schemas),
        *(f"data-sources/{name.removeprefix('keyfactorcommand_')}.md" for name in described.schema.data_source_schemas),
        "index.md",
    }
    assert {str(page.relative_to(DOCS)) for page in PAGES} == kinds


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_names_every_attribute_with_its_sort(described: Plugin, page: Path) -> None:
    name = f"keyfactorcommand_{page.stem}"
    of = {"resources": described.schema.resource_schemas, "data-sources": described.schema.data_source_schemas}
    schema = of[page.parent.name][name] if page.parent.name in of else described.schema.provider
    _, _, listed = page.read_text().partition("## Schema")
    sections = dict(re.findall(r"### (Required|Optional|Read-Only)\n(.*?)(?=\n### |\n## |\Z)", listed, re.DOTALL))
    for attribute in schema.block.attributes:
        sort = "Required" if attribute.required else "Optional" if attribute.optional else "Read-Only"
        assert f"`{attribute.name}`" in sections[sort], attribute.name
        if attribute.sensitive:
            assert f"`{attribute.name}` (String, Sensitive)" in sections[sort]
    assert page.read_text().startswith("---\npage_title: ")


def test_every_phase_of_a_member_is_described() -> None:
    page = (DOCS / "resources" / "orchestrator_reenrollment.md").read_text()
    assert [phase.value for phase in Phase if f"`{phase.value}`" not in page] == []


@needs_terraform
@pytest.mark.engine
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_apply(page: Path, tmp_path: Path) -> None:
    assert FIRST_FOUND is not None
    blocks = examples(page)
    assert blocks
    with fresh(4) as command:
        for number, example in enumerate(blocks):
            ids = sorted(set(GUIDS.findall(example)))
            command.world(
                add=[
                    {"agent_id": member, "client_machine": f"m{member[-2:]}", "status": 2, "thumbprint": "AB" * 20}
                    for member in ids
                ]
            )
            module = Module(FIRST_FOUND, tmp_path / str(number), command)
            if "required_providers" in example:
                module.write("terraform.tf.json", "")
            # No orchestrator re-enrolls here, so the example's completion can only time out.
            module.write("main.tf", example.replace("timeout = 1800", "timeout = 1"))
            ran = module.run("apply")
            if "keyfactorcommand_reenrollment_completion" in example:
                assert ran.says("Not complete after 1 s")
            else:
                assert ran.exit_code == 0, ran.text


@needs_terraform
@pytest.mark.engine
def test_the_example_requests_the_rest_once_the_canary_is_complete(tmp_path: Path) -> None:
    assert FIRST_FOUND is not None
    with fresh(12) as command:
        edge = [agent["agent_id"] for agent in command.agents() if agent["client_machine"].startswith("edge")]
        module = Module(FIRST_FOUND, tmp_path / "example", command)
        module.write("terraform.tf.json", "")
        shutil.copytree(ROOT / "examples" / "terraform", module.folder, dirs_exist_ok=True)
        module.write("terraform.tfvars.json", json.dumps({"canary": edge[:2], "timeout": 1}))
        assert module.run("get").exit_code == 0
        ran = module.run("apply")
        assert (ran.exit_code, ran.posts) == (1, [(1, tuple(edge[:2]))])
        command.world(reenroll=edge[:2])
        ran = module.run("apply")
        assert (ran.exit_code, ran.posts) == (0, [(1, tuple(edge[2:]))])


@needs_terraform
@pytest.mark.engine
def test_the_module_of_the_example_fails_an_apply_with_rejected_members(tmp_path: Path) -> None:
    assert FIRST_FOUND is not None
    with fresh(4) as command:
        ids = command.ids()[:2]
        module = Module(FIRST_FOUND, tmp_path / "example", command)
        shutil.copytree(ROOT / "examples" / "terraform" / "fleet", module.folder / "fleet")
        module.write("main.tf", f'module "edge" {{\n  source = "./fleet"\n  orchestrator_ids = {json.dumps(ids)}\n}}\n')
        command.faults(refused=ids[:1])
        assert module.run("get").exit_code == 0
        ran = module.run("apply")
        assert ran.exit_code == 1
        assert ran.says("1 of 2 orchestrators failed", ids[0])


@pytest.mark.parametrize("file", [*PAGES, *sorted((ROOT / "examples" / "terraform").rglob("*.tf"))])
def test_every_example_of_a_fleet_has_the_postcondition_and_the_address(file: Path) -> None:
    for text in examples(file) if file.suffix == ".md" else [file.read_text()]:
        fleets = text.count('resource "keyfactorcommand_orchestrator_reenrollment"')
        assert text.count('condition     = self.failure == ""') == fleets
        assert text.count("source = ") == text.count(f'source = "{ADDRESS}"')
