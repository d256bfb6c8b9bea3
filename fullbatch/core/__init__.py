"""The base of the control plane: errors, YAML files, plain HTTP, and what this machine has."""
