"""What models exist in the world, and which builds are on this disk."""
