"""What the documentation takes from the code is as the code says, and the settings page leaves nothing out."""

import re

import pytest

from keyfactor_provider.command.settings_table import SETTINGS
from tools.docs import MADE, ROOT, current

SETTINGS_PAGE = (ROOT / "docs" / "settings.md").read_text()


@pytest.mark.parametrize("page", MADE)
def test_what_is_made_from_the_code_is_current(page: str) -> None:
    assert (ROOT / page).read_text() == current(page), "run: python -m tools.docs"


def test_every_variable_named_is_one_that_is_read() -> None:
    read = {variable for setting in SETTINGS.values() for variable in setting.environment}
    for page in (SETTINGS_PAGE, (ROOT / "README.md").read_text()):
        assert set(re.findall(r"`(KEYFACTOR_\w+)`", page)) <= read


def test_every_setting_is_there_with_all_its_names() -> None:
    for setting in SETTINGS.values():
        names = (
            *setting.environment,
            *setting.profile,
            *((setting.key, setting.attribute) if setting.attribute else ()),
        )
        assert [name for name in names if f"`{name}`" not in SETTINGS_PAGE] == []
