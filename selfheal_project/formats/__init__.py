"""How times and dates are written: the same in every language, to the second, so that they can be compared."""
