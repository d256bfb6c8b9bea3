"""A release: what is inside, under which licences, and files that are the same whoever builds them."""
