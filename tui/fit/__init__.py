"""Will it fit? The estimate, the verdict and the ranking."""
