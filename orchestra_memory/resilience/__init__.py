"""What keeps calls bounded and safe to repeat."""
