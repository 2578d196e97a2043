"""What a simulated board runs models with."""
