"""Everything that waits on someone else: admission, queues, workers, providers, streams and the clock."""
