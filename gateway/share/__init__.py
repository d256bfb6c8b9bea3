"""Several gateways of one deployment: limits, fairness and places shared through Valkey, beside the data path."""
