"""Where the repository and the pages are; both come from outside, so a copy needs no edit.

BOOK_REPOSITORY: the repository, https://github.com/OWNER/NAME; without it, git's `origin`.
BOOK_URL: where the pages will be.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BRANCH = "main"
HOST = re.compile(
    r"(?:https://(?:[^@/]+@)?|(?:ssh://)?git@)(github\.com|gitlab\.com|bitbucket\.org)[:/]"
    r"([\w.-]+)/([\w.-]+?)(?:\.git)?/?"
)


def repository() -> str:
    """The address of the repository on GitHub, GitLab or Bitbucket, or "" where there is none.

    Raises:
        ValueError: BOOK_REPOSITORY is no such address.
    """
    given = os.environ.get("BOOK_REPOSITORY", "")
    match = HOST.fullmatch(given or git(ROOT, "remote", "get-url", "origin"))
    if given and not match:
        raise ValueError(
            "BOOK_REPOSITORY: an address such as https://github.com/OWNER/NAME is needed, "
            f"found {given!r}"
        )
    return "https://{}/{}/{}".format(*match.groups()) if match else ""


def git(folder: Path, *command: str) -> str:
    """What git says of a folder; "" where it fails or there is no git."""
    if shutil.which("git") is None:
        return ""
    whole = ["git", "-C", str(folder), *command]
    return subprocess.run(whole, capture_output=True, text=True, check=False).stdout.strip()


def base_url() -> str:
    """The address of the pages, with a slash at its end, or "" where BOOK_URL is not set.

    Raises:
        ValueError: BOOK_URL is no address.
    """
    given = os.environ.get("BOOK_URL", "")
    if given and not re.fullmatch(r"https?://[^\s\"<>]+", given):
        raise ValueError(f"BOOK_URL: an address with https:// is needed, found {given!r}")
    return f"{given.rstrip('/')}/" if given else ""
