"""Whether read models are what the events come to, in one moment of the database and without writing anything."""
