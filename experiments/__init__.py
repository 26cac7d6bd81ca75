"""The measured runs behind the book: what is run, in which order, and where it is written."""
