"""The `holdfast` command: embedded services, the supervisor, and what an operator does by hand."""
