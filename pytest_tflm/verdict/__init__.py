"""How far apart two runtimes' outputs are, and (growing) why."""
