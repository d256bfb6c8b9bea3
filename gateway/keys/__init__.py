"""Keys, what each may, what each has used."""
