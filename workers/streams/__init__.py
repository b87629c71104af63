"""Token streams on Redis: what workers append, what readers get, and how both survive losing Redis."""
