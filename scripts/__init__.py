"""The verbs, and the modules behind them."""
