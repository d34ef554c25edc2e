"""What this machine has, and what is free right now."""
