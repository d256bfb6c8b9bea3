"""Models that take turns on a card: which is there, and what switching costs. A row of the dashboard Hardware."""

from dataclasses import replace

from grafana.dashboard import Row
from grafana.panels import Count, lines
from grafana.queries import turns

_PANELS = (
    lines(
        "Models that are there",
        (turns.READY, turns.WAITING, turns.FIRST_WAIT),
        Count("requests, seconds"),
        "1 while a model answers, how many requests wait for one that is not there, and for how many seconds"
        " the first of them has.\nSomebody waits for long while the other model is there: its answers are long;"
        " `residency` in the profile says how long it may stay.",
    ),
    lines(
        "Time lost to switching",
        (turns.LOST,),
        "percentunit",
        "The part of the time in which a card served nobody new, because answers ran out or a model was loaded."
        "\nAbove 30 %: give it a second card, or make one of the models `always`.",
    ),
    lines(
        "Switches",
        (turns.SWITCHES, turns.FAILURES),
        Count("a second"),
        "Switches from one model to another, by what brought them, and loads that came to nothing.\nFailed"
        " loads: `fullbatch models` says why, with the engine's last words.",
    ),
)

WHOSE_TURN = Row("Whose turn is it?", tuple(replace(panel, no_value="No models take turns") for panel in _PANELS))
