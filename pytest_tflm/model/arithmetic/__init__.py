"""The integer arithmetic of quantised operators, exact."""
