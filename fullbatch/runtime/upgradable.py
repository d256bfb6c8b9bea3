"""What of a runtime a change of version needs: images that are looked at, fetched, tried, switched and put back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from fullbatch.planning.plan import Plan
from fullbatch.runtime.base import Deployment, Say


@dataclass(frozen=True)
class ImageWish:
    """`tag`: of our own images; `images`: service -> image. Both empty: what the checkout says now."""

    tag: str = ""
    images: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RunningImage:
    """`reference`: by which it was started; `digest`: what a registry calls it, empty for one that was built here."""

    service: str
    reference: str
    id: str
    digest: str = ""


# Variable that names an image -> the image.
Images = Mapping[str, RunningImage]
Target = Mapping[str, str]


class Upgradable(Protocol):
    """What runs, as something that other images can be put under. HostError where a step fails."""

    profile: str

    def images(self) -> dict[str, RunningImage]:
        """What runs now."""

    def services(self) -> dict[str, int]:
        """Service -> how many of it run."""

    def target(self, wish: ImageWish) -> dict[str, str]:
        """Variable -> reference that it is to have; UsageError for what is no service or no tag."""

    def keep(self, images: Images, stamp: str) -> None:
        """See that nobody can prune these images as long as the backup `stamp` is kept."""

    def fetch(self, target: Target, say: Say) -> dict[str, str]:
        """Build or pull; variable -> id. Nothing that runs is touched."""

    def rehearse(self, target: Target, state: Mapping[str, bytes], say: Say) -> None:
        """Start the new gateway on a copy of `state`, without a network, and let a new engine read its flags.

        `state`: as `Runtime.kept_state` gives it, and files that are to be rendered anew by their paths.
        """

    def switch(self, target: Target, say: Say) -> None:
        """Make the next start mean `target`, and start it."""

    def point_back(self, images: Images) -> None:
        """Make each reference mean the image again that it meant."""

    def start(self, services: Mapping[str, int], say: Say) -> None:
        """Start what the settings say now, so many of each service."""

    def store(self, images: Images) -> bytes | None:
        """The key store as it is now, read with the gateway's image of `images`; None without one."""

    def put_store(self, images: Images, content: bytes, say: Say) -> None:
        """Stop the gateway and put this key store in its place."""

    def deployment(self, plan: Plan) -> Deployment:
        """It, to be waited for; what was started before this call and goes on is not held against it."""
