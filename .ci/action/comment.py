"""Keeps one comment at a pull request: the plan of its last commit.

From the environment: MARKDOWN_PATH, INPUT_TOKEN, INPUT_COMMENT_NAME, and what a runner sets (GITHUB_API_URL,
GITHUB_REPOSITORY, GITHUB_EVENT_PATH, GITHUB_SHA). A pull request from a fork has a token that may not write: that is
told, and is no failure.
"""

from __future__ import annotations

import json
import os
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

MOST_CHARACTERS = 60_000  # GitHub takes 65,536
PAGE = 100


class Refused(Exception):
    """GitHub does not let us write."""


def call(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Raises: Refused, urllib.error.URLError."""
    request = urllib.request.Request(  # noqa: S310 - the runner says where the API is
        f"{os.environ['GITHUB_API_URL']}/repos/{os.environ['GITHUB_REPOSITORY']}{path}",
        data=None if body is None else json.dumps(body).encode(),
        method=method,
        headers={
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {os.environ.get('INPUT_TOKEN', '')}",
            "Content-Type": "application/json",
            "User-Agent": "hume-runner",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            if error.code in (401, 403, 404):
                raise Refused(f"{method} {path}: {error.code}") from None
            raise


def pull_request() -> int | None:
    event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    number = event.get("pull_request", {}).get("number")
    return int(number) if number else None


def earlier(number: int, marker: str) -> int | None:
    """The comment that this action wrote before."""
    page = 1
    while True:
        found = call("GET", f"/issues/{number}/comments?per_page={PAGE}&page={page}")
        for comment in found:
            if (comment.get("body") or "").startswith(marker):
                return int(comment["id"])
        if len(found) < PAGE:
            return None
        page += 1


def text(marker: str) -> str:
    plan = Path(os.environ["MARKDOWN_PATH"]).read_text(encoding="utf-8")
    if len(plan) > MOST_CHARACTERS:
        plan = plan[:MOST_CHARACTERS].rpartition("\n")[0] + "\n\n… the rest is in the summary of the workflow's run.\n"
    return f"{marker}\n{plan}\nFor {os.environ.get('GITHUB_SHA', '')[:12]}; nothing was sent.\n"


def main() -> int:
    name = re.sub(r"[^A-Za-z0-9._-]", "-", os.environ.get("INPUT_COMMENT_NAME") or "plan")
    marker = f"<!-- hume-runner {name} -->"
    number = pull_request()
    if number is None:
        print("no pull request, no comment")
        return 0
    try:
        before, body = earlier(number, marker), {"body": text(marker)}
        try:
            if before is not None:
                call("PATCH", f"/issues/comments/{before}", body)
        except Refused:  # somebody else wrote it, and we may not change it
            before = None
        if before is None:
            call("POST", f"/issues/{number}/comments", body)
    except (Refused, urllib.error.URLError) as error:
        reason = str(error).replace("%", "%25").replace("\n", " ")
        print(f"::warning::the plan is not at the pull request: {reason}; it needs `pull-requests: write` and a token")
    return 0


if __name__ == "__main__":
    sys.exit(main())
