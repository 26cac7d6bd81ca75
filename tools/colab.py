"""The first code cell of every notebook, which makes the library ready on Colab."""

import re
from typing import Any

import nbformat

from partlib import __version__

TAG = "colab"
CELL = """\
# On Colab: installs the book's library, not torch or numpy, and says what to expect.
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
NO_ADDRESS = """\
raise ImportError("install partlib {version} first: this notebook does not know where it is")"""


def setup_cell(address: str) -> Any:
    """The cell; it has no part in the page.

    Args:
        address: of the repository that the library is installed from, at the tag of its version;
            "" where there is none.
    """
    install = (PIP if address else NO_ADDRESS).format(address=address, version=__version__)
    source = CELL.format(install=install).rstrip()
    return nbformat.v4.new_code_cell(source, metadata={"tags": [TAG, "remove-cell"]})


def address_in(notebook: Any) -> str:
    """The address that a notebook installs the library from, or ""."""
    for cell in notebook.cells:
        if TAG in cell.metadata.get("tags", []):
            match = re.search(r"git\+(.*)@v", cell.source)
            return match.group(1) if match else ""
    return ""
