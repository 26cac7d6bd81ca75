"""Fetch the packages of `book/vendor/packages.json` with npm, and take the listed files from them.

    python -m tools.vendor

The files are committed, so that the book is made without npm; this is for a new version: change
the version and both kinds of checksums, and run it.
"""

import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from base64 import b64encode
from hashlib import sha512
from importlib.resources import as_file, files
from pathlib import Path

from tools.notebooks import ROOT

VENDOR = ROOT / "book" / "vendor"
PACKAGES = VENDOR / "packages.json"


def integrity(content: bytes) -> str:
    """The checksum in the form in which the registry gives it."""
    return f"sha512-{b64encode(sha512(content).digest()).decode()}"


def copy_mathjax(folder: Path) -> None:
    """Make a folder anew with what shows formulas, so that pages need no other site."""
    here = files("sphinx-mathjax-offline") / "static" / "mathjax"
    with as_file(here) as source:
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("tex-chtml.js", "output/chtml/fonts/woff-v2"):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (source / name).is_dir() else shutil.copyfile
            copy(source / name, target)


def main() -> int:
    """Fetch, check and write; returns the exit status."""
    for package in json.loads(PACKAGES.read_text()):
        release = f"{package['name']}@{package['version']}"
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["npm", "pack", "--silent", release], cwd=folder, check=True)
            (tarball,) = Path(folder).iterdir()
            found = {release: integrity(tarball.read_bytes())}
            wanted = {release: package["integrity"], **package["files"]}
            contents: dict[str, bytes] = {}
            with tarfile.open(tarball) as archive:
                for name in package["files"]:
                    member = archive.extractfile(f"package/{name}")
                    assert member is not None
                    contents[name] = member.read()
                    found[name] = integrity(contents[name])
        if found != wanted:
            print(f"Checksums differ, found {json.dumps(found, indent=2)}", file=sys.stderr)
            return 1
        for name, content in contents.items():
            (VENDOR / Path(name).name).write_bytes(content)
        print(release)
    return 0


if __name__ == "__main__":
    sys.exit(main())
