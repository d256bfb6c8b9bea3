"""Repositories of Hugging Face's hub, or of a mirror: what a model is, before any of its weights are fetched."""
