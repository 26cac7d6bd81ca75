"""`python -m partlib`."""

from partlib.cli import main

main()
