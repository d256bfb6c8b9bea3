"""What a request may ask for in its body: sizes, forms that have to be compiled, and what its prompt is made of."""
