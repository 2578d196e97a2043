"""Serial lines with faults."""
