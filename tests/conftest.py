"""What all tests share."""

import os
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch is loaded: processes share the cores
    share = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, share)))

import pytest
from commanded import tiny_zoo, trained  # noqa: F401 (fixtures)
from corrupted import photos  # noqa: F401 (a fixture)
from experimented import grid  # noqa: F401 (a fixture)
from figures import displayed, drawn  # noqa: F401 (fixtures)
from hypothesis import settings
from lab_page import browser, fresh, opened, page_file  # noqa: F401 (fixtures)

# The same examples in every run; how long one takes depends on the machine.
settings.register_profile("same", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("new", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with a slow test first, then notebooks: what begins last should be short.

    Else one process is left with a long file at the end, and the others wait.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, item.path.suffix != ".ipynb"))


@pytest.fixture(scope="session")
def cifar10_root() -> Path:
    """The folder with the real CIFAR-10; the test is skipped where there is none."""
    root = os.environ.get("PARTLIB_DATA")
    if not root or not (Path(root) / "cifar-10-batches-py").is_dir():
        pytest.skip("no CIFAR-10: set PARTLIB_DATA to the folder of cifar-10-batches-py")
    return Path(root)


@pytest.fixture(scope="session")
def svhn_root() -> Path:
    """The folder with the real SVHN, or a part of it; the test is skipped where there is none."""
    root = os.environ.get("PARTLIB_DATA")
    if not root or not list((Path(root) / "svhn").glob("train_*.mat")):
        pytest.skip("no SVHN: set PARTLIB_DATA to the folder of svhn/train_*.mat")
    return Path(root)


@pytest.fixture(scope="session")
def tiny_imagenet_root() -> Path:
    """The folder with the real Tiny-ImageNet, or a part; without one the test is skipped."""
    root = os.environ.get("PARTLIB_DATA")
    if not root or not list(Path(root).glob("tiny-imagenet-200*.zip")):
        pytest.skip("no Tiny-ImageNet: set PARTLIB_DATA to the folder of tiny-imagenet-200*.zip")
    return Path(root)
