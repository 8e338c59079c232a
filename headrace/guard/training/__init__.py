"""How the shipped heads came to be: `headrace guard train` makes them again, bit for bit."""
