"""The page at `/`: what is served, how it is now, how to connect, and a chat. Whole without scripts, but the chat."""

from __future__ import annotations

from gateway.pages.address import Address
from gateway.pages.connect import Recipe, recipes
from gateway.pages.html import Html, fill, join
from gateway.pages.status import ModelStatus, Status

_NO_MODEL = "MODEL"
_MODEL = (
    '<li data-model="{{name}}"><span class="dot {{state}}"></span><b>{{name}}</b> '
    '<span class="about">{{about}}</span></li>'
)
_OPTION = '<option value="{{name}}">{{name}}</option>'
_RECIPE = """\
<details name="connect"{{open}}>
<summary>{{name}}</summary>
<div class="copybox"><pre tabindex="0" aria-label="How to connect: {{name}}"><code>{{text}}</code></pre></div>
{{note}}
</details>
"""
_NOTE = '<p class="note">{{note}}</p>'
_ELSEWHERE = (
    '<p class="note" id="elsewhere">You opened this page by an address that the gateway was not told of, so the texts '
    "show another one. The profile's <code>gateway.public_urls</code> names those that clients use.</p>"
)
_TITLE = "{{text}} · Fullbatch"


def page(template: str, status: Status, address: Address) -> Html:
    """The whole page at this moment."""
    model = status.models[0].name if status.models else _NO_MODEL
    return fill(
        template,
        title=fill(_TITLE, text=status.text),
        text=status.text,
        state=status.state,
        running=status.running,
        places=status.places,
        waiting=status.waiting,
        tokens=figure(status.tokens_per_second),
        models=join([fill(_MODEL, name=one.name, state=one.state, about=about(one)) for one in status.models]),
        options=join([fill(_OPTION, name=one.name) for one in status.models]),
        address=address.url,
        elsewhere=Html("" if address.used else _ELSEWHERE),
        recipes=join([_recipe(one, first=index == 0) for index, one in enumerate(recipes(address, model))]),
    )


def about(model: ModelStatus) -> str:
    """Beside a model's name."""
    if model.state == "up":
        return f"{model.context:,} tokens of context"
    return f"{model.state}: {model.text}" if model.text else model.state


def figure(number: float) -> str:
    """Three digits are enough."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.1f}" if number else "0"


def _recipe(recipe: Recipe, first: bool) -> Html:
    note = fill(_NOTE, note=recipe.note) if recipe.note else Html("")
    return fill(_RECIPE, name=recipe.name, text=recipe.text, note=note, open=Html(" open" if first else ""))
