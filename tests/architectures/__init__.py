"""What pyrepsim does with each architecture: families, five checks of each, and the page docs/architectures.md."""
