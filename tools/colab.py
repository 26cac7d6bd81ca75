"""The first code cell of every notebook, which makes the library ready on Colab."""

import re
from typing import Any

import nbformat

from partlib import __version__

TAG = "colab"
CELL = """\
# On Colab: {what}
# Elsewhere it does nothing.
import importlib.util
import subprocess
import sys

if "google.colab" in sys.modules:
    if importlib.util.find_spec("partlib") is None:
        {install}
    from partlib import doctor

    print(doctor.welcome())
"""
PIP = """\
source = "partlib @ git+{address}@v{version}"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", source]
        subprocess.run(pip, check=True)
        importlib.invalidate_caches()"""
WITH_PIP = "installs the book's library, not torch or numpy, and says what to expect."
NO_ADDRESS = """\
raise ImportError(
            "partlib {version} is not installed, and this copy was made without an address. "
            "Make its wheel in the folder of the repository: pip wheel --no-deps . "
            "Upload it under Files, then run: "
            "%pip install --no-deps partlib-{version}-py3-none-any.whl"
        )"""
BY_HAND = "the book's library must be installed first. Then this says what to expect."


def setup_cell(address: str) -> Any:
    """The cell; it has no part in the page.

    Args:
        address: of the repository that the library is installed from, at the tag of its version;
            "" where there is none.
    """
    what, install = (WITH_PIP, PIP) if address else (BY_HAND, NO_ADDRESS)
    install = install.format(address=address, version=__version__)
    source = CELL.format(what=what, install=install).rstrip()
    return nbformat.v4.new_code_cell(source, metadata={"tags": [TAG, "remove-cell"]})


def address_in(notebook: Any) -> str:
    """The address that a notebook installs the library from, or ""."""
    for cell in notebook.cells:
        if TAG in cell.metadata.get("tags", []):
            match = re.search(r"git\+(.*)@v", cell.source)
            return match.group(1) if match else ""
    return ""
