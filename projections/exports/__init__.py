"""What auditors and finance take away: the log and the journal as files that other programs read and check."""
