"""Datasets: the samples that models are run on."""
