"""The process of a simulated or emulated board, and how it is started."""
