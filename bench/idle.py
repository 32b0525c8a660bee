"""The dynamic resources that whole runs are compared with: idle ones, and ones that send a bare POST.

Like the product's, these providers are importable and have no state. A class of `__main__` would be stored by value,
which is slower and fails at some hundred resources.
"""

import os
import threading
from functools import cache
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, Resource, ResourceProvider

FLEET = ("keyfactor_provider", "OrchestratorReenrollment")
IDLE = ("bench.idle", "Idle")
POSTING = ("bench.idle", "Posting")
"""Where the classes of resources are that stacks are made of."""

_NUMBERS = {"Requested": 1, "Required": 2}


class IdleProvider(ResourceProvider):
    """Does nothing; check, diff and read are the SDK's."""

    serialize_as_secret_always = False

    def __getstate__(self) -> None:
        return None

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Record the inputs."""
        return CreateResult(props["fleet"], {key: value for key, value in props.items() if key != "__provider"})


class PostingProvider(IdleProvider):
    """Sends one POST in a create and ignores the response."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Send a POST over a client that all resources of the process share."""
        body = {"OrchestratorIds": props["orchestrator_ids"], "Status": _NUMBERS[props["status"]]}
        _http().post("/KeyfactorAPI/Agents/SetAuthCertificateReenrollment", json=body)
        return super().create(props)


class Idle(Resource, module="bench", name="Idle"):
    """Takes a fleet's arguments and does nothing with them."""

    def __init__(self, name: str, *, orchestrator_ids: list[str], status: str) -> None:
        super().__init__(IdleProvider(), name, _props(name, orchestrator_ids, status))


class Posting(Resource, module="bench", name="Posting"):
    """Sends one POST, and has hooks where a fleet has them."""

    def __init__(self, name: str, *, orchestrator_ids: list[str], status: str) -> None:
        hooks = pulumi.ResourceHookBinding(
            before_create=[], before_update=[], after_create=[_hook()], after_update=[_hook()]
        )
        super().__init__(
            PostingProvider(),
            name,
            _props(name, orchestrator_ids, status),
            pulumi.ResourceOptions(hooks=hooks),
        )


def _props(name: str, orchestrator_ids: list[str], status: str) -> dict[str, Any]:
    return {"fleet": name, "orchestrator_ids": orchestrator_ids, "status": status}


_lock = threading.Lock()


@cache
def _hook() -> pulumi.ResourceHook:
    return pulumi.ResourceHook("bench-nothing", lambda _: None)


def _http() -> Any:
    with _lock:
        return _client()


@cache
def _client() -> Any:
    import httpx  # only in the provider host, as in the product

    user = f"{os.environ['KEYFACTOR_DOMAIN']}\\{os.environ['KEYFACTOR_USERNAME']}"
    return httpx.Client(
        base_url=os.environ["KEYFACTOR_HOSTNAME"],
        auth=(user, os.environ["KEYFACTOR_PASSWORD"]),
        headers={"x-keyfactor-requested-with": "APIClient"},
    )
