"""One generation request, from its body to its usage."""
