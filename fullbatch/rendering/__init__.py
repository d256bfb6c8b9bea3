"""A plan -> the files that are committed under rendered/, and checks of them."""
