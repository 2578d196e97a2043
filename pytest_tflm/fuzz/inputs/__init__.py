"""Generated inputs for a model: strategies, the search, the decorator."""
