"""The `gh` commands that the recipes use, on a repository in the file GH_FAKE; others are refused."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

Fields = dict[str, str]


def main(arguments: list[str]) -> int:
    """Run one command; returns its exit code."""
    if not os.environ.get("GH_TOKEN"):
        print("gh: To use GitHub CLI in a GitHub Actions workflow, set the GH_TOKEN environment variable.")
        return 4
    file = Path(os.environ["GH_FAKE"])
    repository: dict[str, Any] = json.loads(file.read_text())
    if arguments[0] == "api":
        answer, expression = _api(repository, arguments[1:])
    else:
        answer, expression = _command(repository, arguments[0], arguments[1], arguments[2:])
    file.write_text(json.dumps(repository))
    if expression is not None:
        shown = subprocess.run(["jq", "-r", expression], input=json.dumps(answer), text=True, check=True, stdout=-1)
        print(shown.stdout, end="")
    return 0


def _api(repository: dict[str, Any], arguments: list[str]) -> tuple[Any, str | None]:
    path, given = _options(arguments, switches=("--paginate", "--silent"))
    home, (kind, *rest) = "/".join(path[0].split("/")[:3]), path[0].split("/")[3:]
    assert home == f"repos/{os.environ['GITHUB_REPOSITORY']}", home
    assert kind == "issues", path
    comments = repository["comments"]
    match given.get("--method", "GET"), rest:
        case "GET", [number, "comments"]:
            return [one for one in comments if one["issue"] == number], given.get("--jq")
        case "POST", [number, "comments"]:
            comments.append(
                {"id": len(comments) + 1, "issue": number, "user": {"login": "github-actions[bot]"}, **_body(given)}
            )
        case "PATCH", ["comments", number]:
            (comment,) = [one for one in comments if str(one["id"]) == number]
            comment.update(_body(given))
        case call:
            raise AssertionError(call)
    return None, None


def _body(given: Fields) -> Fields:
    name, _, value = given["-F"].partition("=")
    assert (name, value[0]) == ("body", "@"), given
    body = Path(value[1:]).read_text()
    assert body, value
    assert len(body) <= 65_536
    return {"body": body}


def _command(repository: dict[str, Any], kind: str, verb: str, arguments: list[str]) -> tuple[Any, str | None]:
    given_to, given = _options(arguments, switches=("--force",))
    issues = repository["issues"]
    match kind, verb:
        case "label", "create":
            repository["labels"].append(given_to[0])
        case "issue", "list":
            assert given["--json"] == "number"
            found = [one for one in issues if one["state"] == given["--state"] and given["--label"] in one["labels"]]
            return [{"number": one["number"]} for one in found], given["--jq"]
        case "issue", "create":
            assert given["--label"] in repository["labels"], "could not add label: not found"
            issues.append(
                {
                    "number": len(issues) + 1,
                    "state": "open",
                    "labels": [given["--label"]],
                    "title": given["--title"],
                    "body": Path(given["--body-file"]).read_text(),
                }
            )
        case "issue", "edit":
            _issue(issues, given_to[0])["body"] = Path(given["--body-file"]).read_text()
        case "issue", "close":
            _issue(issues, given_to[0]).update(state="closed", comment=given["--comment"])
        case call:
            raise AssertionError(call)
    return None, None


def _issue(issues: list[dict[str, Any]], number: str) -> dict[str, Any]:
    (issue,) = [one for one in issues if str(one["number"]) == number]
    return issue


def _options(arguments: list[str], switches: tuple[str, ...]) -> tuple[list[str], Fields]:
    """The positional words, and the options with their values."""
    words: list[str] = []
    flags: Fields = {}
    rest = iter(arguments)
    for word in rest:
        if word in switches:
            flags[word] = ""
        elif word.startswith("-"):
            flags[word] = next(rest)
        else:
            words.append(word)
    return words, flags


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
