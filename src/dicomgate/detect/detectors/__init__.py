"""One detector a file; catalogue.py lists them."""
