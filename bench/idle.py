"""What whole runs are compared with: dynamic resources that do nothing, or one bare POST.

An importable module with providers that have no state of their own, as the product's: a class of `__main__`
would be stored by value, which is slower, and would not get over some hundred resources.
"""

import os
import threading
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, Resource, ResourceProvider

FLEET = ("keyfactor_provider", "OrchestratorReenrollment")
IDLE = ("bench.idle", "Idle")
POSTING = ("bench.idle", "Posting")
"""Where the classes of resources are that stacks are made of."""

_NUMBERS = {"Requested": 1, "Required": 2}


class IdleProvider(ResourceProvider):
    """Does nothing; the SDK's own check, diff and read."""

    serialize_as_secret_always = False

    def __getstate__(self) -> None:
        return None

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Records the inputs."""
        return CreateResult(props["fleet"], {key: value for key, value in props.items() if key != "__provider"})


class PostingProvider(IdleProvider):
    """Posts once in a create and does not look at the answer."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """One POST over a client that all resources of the process share."""
        body = {"OrchestratorIds": props["orchestrator_ids"], "Status": _NUMBERS[props["status"]]}
        _http().post("/KeyfactorAPI/Agents/SetAuthCertificateReenrollment", json=body)
        return super().create(props)


class Idle(Resource, module="bench", name="Idle"):
    """A fleet's arguments, and nothing done with them."""

    def __init__(self, name: str, *, orchestrator_ids: list[str], status: str) -> None:
        super().__init__(IdleProvider(), name, _props(name, orchestrator_ids, status))


class Posting(Resource, module="bench", name="Posting"):
    """One POST, with hooks at the places where a fleet has them."""

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


_made: dict[str, Any] = {}
_lock = threading.Lock()


def _hook() -> pulumi.ResourceHook:
    """One for all resources of the run, as the product's."""
    if "hook" not in _made:
        _made["hook"] = pulumi.ResourceHook("bench-nothing", lambda _: None)
    hook: pulumi.ResourceHook = _made["hook"]
    return hook


def _http() -> Any:
    import httpx  # in the provider host alone, as the product

    with _lock:
        if "http" not in _made:
            said = os.environ
            user = f"{said['KEYFACTOR_DOMAIN']}\\{said['KEYFACTOR_USERNAME']}"
            _made["http"] = httpx.Client(
                base_url=said["KEYFACTOR_HOSTNAME"],
                auth=(user, said["KEYFACTOR_PASSWORD"]),
                headers={"x-keyfactor-requested-with": "APIClient"},
            )
    return _made["http"]
