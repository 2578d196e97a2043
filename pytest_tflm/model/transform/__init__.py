"""Models made from models: one operator cut out, shapes frozen, dilation folded."""
