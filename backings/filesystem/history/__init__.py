"""What records say of units: how commits are entered, and how what was is read back."""
