"""Measurements: each figure beside a yardstick of the same run, on the same servers, durable as shipped."""
