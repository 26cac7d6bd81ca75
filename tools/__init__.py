"""The build of the book; run from the repository's root, as `make` does."""
