"""What to try: ``inputs`` for a model, ``kernels`` with models of one operator, ``sequences`` of
loads, runs and resets. What they find is made small by one reducer."""
