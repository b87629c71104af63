"""`python -m ops` is the `holdfast` command."""

from ops.cli import main

main()
