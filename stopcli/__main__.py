"""`python -m stopcli`."""

from stopcli.cli.main import main

main()
