"""How far apart two outputs are, what a test allows, and how it is said."""
