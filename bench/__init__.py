"""Measurements: each figure beside a yardstick taken in the same run on the same servers, which are durable as shipped."""
