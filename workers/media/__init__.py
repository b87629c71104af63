"""Pictures, recordings and films: uploads, results, where their bytes are, and fetching what providers made."""
