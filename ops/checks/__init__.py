"""What `holdfast doctor` looks at: each finding says what is, and how to mend it where it is wrong."""
