"""Kubernetes as a target: plain manifests, put together by Kustomize."""
