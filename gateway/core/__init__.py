"""What every room stands on: a request's facts, errors, the ticker, supervision."""
