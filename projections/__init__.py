"""Read models built from the sealed log. Each can be dropped and rebuilt; nothing is written here that is not in it."""
