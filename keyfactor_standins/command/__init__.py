"""A stand-in for Keyfactor Command: what clients and orchestrators see of it, and faults on request.

Where Keyfactor's sources do not say what Command does, the choice made here is marked "Our choice":
`grep -rn -A2 "Our choice" keyfactor_standins/command` lists these. It never starts by itself, and says what it is when
it starts.
"""

from collections.abc import Mapping

API_PATH = "KeyfactorAPI"
"""The default path of the API, of the installer and of every client."""


def environment(announced: Mapping[str, str]) -> dict[str, str]:
    """The environment of a client that signs in with Basic, from the line that the stand-in prints."""
    names = {
        "KEYFACTOR_HOSTNAME": "url",
        "KEYFACTOR_API_PATH": "api_path",
        "KEYFACTOR_USERNAME": "username",
        "KEYFACTOR_PASSWORD": "password",
        "KEYFACTOR_DOMAIN": "domain",
        "KEYFACTOR_CA_CERT": "ca_cert",
    }
    variables = {name: announced[key] for name, key in names.items() if key in announced}
    if announced["api_path"] == API_PATH:
        del variables["KEYFACTOR_API_PATH"]
    return variables
