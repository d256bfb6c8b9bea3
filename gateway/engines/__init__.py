"""The engines and their replicas: addresses, health, load, and which one gets a request."""
