"""`gpu-bench run sleep`: two models that share a card: in turns behind the launcher, together, and for fifty people."""
