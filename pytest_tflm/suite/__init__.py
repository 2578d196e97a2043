"""The tests that ``--tflm-model`` adds to a run."""
