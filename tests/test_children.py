"""What started a grid's runs and is told to end takes them with it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from experiments.children import Children

ROOT = Path(__file__).parents[1]
PARENT = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from experiments.children import Children

CHILD = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(100)"
children = Children()

def one(name):
    return children.run([sys.executable, "-c", CHILD, name], cwd=Path(sys.argv[1]))

with children, ThreadPoolExecutor(2) as pool:
    list(pool.map(one, ["a", "b", "later"]))
"""


def test_a_command_is_run_and_says_how_it_ended(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Children() as children:
        code = "import os, sys; open('here', 'w'); sys.exit(3)"
        assert children.run([sys.executable, "-c", code], cwd=tmp_path) == 3
        assert signal.getsignal(signal.SIGTERM) != before
    assert (tmp_path / "here").exists()
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_sigterm_ends_what_was_started_and_starts_no_more(tmp_path: Path) -> None:
    words = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(words, cwd=ROOT) as parent:
        wait_for(lambda: all((tmp_path / name).exists() for name in "ab"))
        wait_for(lambda: all((tmp_path / name).read_text() for name in "ab"))
        parent.terminate()
        assert parent.wait(timeout=30) == 128 + signal.SIGTERM
    for name in "ab":
        pid = int((tmp_path / name).read_text())
        wait_for(lambda pid=pid: not alive(pid))
    assert not (tmp_path / "later").exists()


def wait_for(done) -> None:
    until = time.time() + 60
    while not done():
        assert time.time() < until
        time.sleep(0.1)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
