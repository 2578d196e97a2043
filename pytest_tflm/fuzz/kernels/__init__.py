"""Generated models of one operator, and the search for those on which two runtimes differ."""
