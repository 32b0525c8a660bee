"""Keyfactor Command in small: what a client and an orchestrator can see of it, and faults to order.

Where Keyfactor's sources do not say what Command does, the choice made here is marked "Our choice" where it is
made: `grep -rn -A2 "Our choice" keyfactor_standins/command` lists them all. It is never used without being
asked for, and says so when it starts.
"""

from collections.abc import Mapping

API_PATH = "KeyfactorAPI"
"""The path of the API unless the installation has another one, and what every client takes for the default."""


def environment(announced: Mapping[str, str]) -> dict[str, str]:
    """What a client needs in its environment to come in with Basic, from the line that the stand-in prints."""
    names = {
        "KEYFACTOR_HOSTNAME": "url",
        "KEYFACTOR_API_PATH": "api_path",
        "KEYFACTOR_USERNAME": "username",
        "KEYFACTOR_PASSWORD": "password",
        "KEYFACTOR_DOMAIN": "domain",
        "KEYFACTOR_CA_CERT": "ca_cert",
    }
    found = {name: announced[key] for name, key in names.items() if key in announced}
    if announced["api_path"] == API_PATH:
        del found["KEYFACTOR_API_PATH"]
    return found
