"""A dynamic provider for the tests: every call is one line of the file $CALLS; $WORLD says how calls go.

Copied next to the programs under test. $WORLD is a JSON file, re-read at every call: resource name to any of
`fail` (the operation that raises), `gone` (read finds nothing), `drift` (what read finds instead of the
outputs), `inputs` (read gives the found values as inputs too), `slow` (seconds that create and update take).
"""

import json
import os
import time
from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)


def _known(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _known(item) for key, item in value.items() if key != "__provider"}
    if isinstance(value, list):
        return [_known(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else f"<{type(value).__name__}>"


def _log(operation: str, name: str, *details: Any) -> dict[str, Any]:
    with Path(os.environ["CALLS"]).open("a", encoding="utf-8") as calls:
        calls.write(json.dumps([operation, name, *map(_known, details)], sort_keys=True) + "\n")
    world = Path(os.environ["WORLD"])
    behaviour: dict[str, Any] = json.loads(world.read_text()).get(name, {}) if world.exists() else {}
    if behaviour.get("fail") == operation:
        raise RuntimeError(f"{operation} of {name} was told to fail")
    return behaviour


class Counted(ResourceProvider):
    def configure(self, req: ConfigureRequest) -> None:
        greeting = req.config.get("tiny:greeting")
        if greeting is not None:
            _log("configure", greeting)

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        _log("check", news["name"], _olds, news)
        failures = [CheckFailure("size", "too big")] if news.get("size") == 99 else []
        if news.get("size") == 98:
            failures.append(CheckFailure("", "all wrong"))
        return CheckResult(news, failures)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        _log("diff", _news["name"], _olds, _news)
        if "engine_diff" in _news:
            return DiffResult()
        keys = [key for key in _news if key not in ("__provider", "name") and _olds.get(key) != _news[key]]
        keys += [key for key in _olds if key not in _news and key not in ("made", "__provider")]
        return DiffResult(
            changes=bool(keys),
            replaces=[key for key in keys if key == "kind"],
            delete_before_replace="first" in _news,
        )

    def create(self, props: dict[str, Any]) -> CreateResult:
        world = _log("create", props["name"], props)
        time.sleep(world.get("slow", 0))
        return CreateResult(f"id-{props['name']}", {**props, "made": True})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        world = _log("read", props["name"], props)
        if world.get("gone"):
            return ReadResult(None, {})
        found = {**props, **world.get("drift", {})}
        inputs = {key: value for key, value in found.items() if key != "made"}
        return ReadResult(id_, found, inputs=inputs if world.get("inputs") else None)

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        world = _log("update", _news["name"], _olds, _news)
        time.sleep(world.get("slow", 0))
        return UpdateResult({**_news, "made": True})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        _log("delete", _props["name"])

    def __getstate__(self) -> None:
        return None

    def __setstate__(self, _: None) -> None:
        pass


class Thing(Resource, module="test", name="Thing"):
    name: pulumi.Output[str]
    made: pulumi.Output[bool]
    size: pulumi.Output[Any]

    def __init__(
        self,
        name: str,
        opts: pulumi.ResourceOptions | None = None,
        called: str | None = None,
        **props: Any,
    ) -> None:
        super().__init__(Counted(), name, {"name": called or name, "made": None, "size": None, **props}, opts)
