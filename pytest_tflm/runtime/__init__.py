"""Who can run a model: a board, host TFLM, the TFLite interpreter. See ``base.Runtime``."""
