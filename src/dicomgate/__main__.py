"""`python -m dicomgate`."""

from dicomgate.cli import main

main()
