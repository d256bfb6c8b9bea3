"""Hardware: memory, power, heat and throttling of GPUs and machine, energy per million tokens."""

from dataclasses import replace

from grafana.dashboard import Dashboard, Row
from grafana.dashboards.turns import WHOSE_TURN
from grafana.panels import BAD, Count, Panel, lines, promise, share, stacked
from grafana.queries import engine, gateway
from grafana.queries import hardware as h

NO_CARDS = "Needs --profile gpu"
NO_NODE = "Needs --profile hardware"


def _card(panel: Panel, width: int = 8) -> Panel:
    return replace(panel, width=width, no_value=NO_CARDS)


def _node(panel: Panel, width: int = 8) -> Panel:
    return replace(panel, width=width, no_value=NO_NODE)


CARDS = Row(
    "The cards (docker compose --profile gpu up)",
    (
        _card(
            share(
                "Memory of the cards",
                (h.GPU_MEMORY,),
                0.97,
                "Share of each card's memory in use. vLLM takes its share at the start and keeps it, so a flat line is"
                " right.\nClimbs: something else uses the card; nvidia-smi names it.",
                color=BAD,
            )
        ),
        _card(
            share(
                "How busy the cards are",
                (h.GPU_BUSY, h.GPU_COPYING),
                1,
                "Share of time in which any kernel ran, and in which memory was moved: not how hard it worked."
                " Decoding is memory traffic.\nBelow 50 % while requests run: the processor or the gateway is the"
                " limit, not the card.",
                color="transparent",
            )
        ),
        _card(
            lines(
                "Power",
                (h.GPU_POWER, h.GPU_POWER_LIMIT),
                "watt",
                "What each card draws, and its limit: the best single sign of how hard it works.\nAt the limit: the"
                " card gives all it may. Far below while busy: decoding waits for memory; a bigger batch costs"
                " little time.",
            )
        ),
        _card(
            promise(
                "Temperature",
                (h.GPU_TEMPERATURE,),
                "celsius",
                87,
                "Of each card's chip, in degrees Celsius.\nAbove the line: see runbook GpuHot. Cards slow down a few"
                " degrees above it.",
            )
        ),
        _card(
            lines(
                "Energy per million tokens",
                (h.ENERGY_PER_MILLION,),
                "kwatth",
                "Power of all cards, divided by the output of the last 5 minutes, idle time included. Times your"
                " price per kWh is what a million tokens cost.\nHigh: few users share a card that draws power"
                " anyway; a fuller batch lowers it.",
            )
        ),
        _card(
            stacked(
                "Why the clock was lowered",
                (h.GPU_SLOWED,),
                Count("samples"),
                "Samples of the last 5 minutes in which the card gave this reason. power_cap: it is at its power"
                " limit, as a loaded card may be.\nAnything with thermal, slowdown or brake: see runbook"
                " GpuThrottling.",
            )
        ),
    ),
)

MACHINE = Row(
    "The machine (docker compose --profile hardware up)",
    (
        _node(
            stacked(
                "Cores in use",
                (h.CPU_BY_MODE,),
                Count("cores"),
                "Cores busy, by what they do.\nAll of them while requests wait: the processor"
                " is the limit; on a CPU profile that is as it must be.",
            )
        ),
        _node(
            lines(
                "Memory",
                (h.MEMORY_AVAILABLE, h.MEMORY_TOTAL),
                "bytes",
                "Main memory that is available, and all there is.\nNear 0: see runbook HostMemoryLow.",
            )
        ),
        _node(
            share(
                "Free disk",
                (h.DISK_FREE,),
                0.05,
                "Share of each file system that is free.\nBelow 5 %, or falling towards it: see runbook DiskFilling.",
                color=BAD,
            )
        ),
        _node(
            stacked(
                "Waiting for the machine",
                h.PRESSURE,
                "percentunit",
                "Share of time in which something waited for a core, for memory, for the disk (Linux pressure stall"
                " information).\nMemory above 0: see runbook HostMemoryLow. Disk: weights are being read, or it swaps.",
            )
        ),
        _node(
            lines(
                "Load and cores",
                (h.LOAD, h.CORES),
                Count("programs"),
                "Programs that run or wait for a core or a disk, and the cores there are.\nFar above the cores:"
                " everything waits for everything; stop what does not belong here, such as a load test on the same"
                " machine.",
            )
        ),
        replace(
            lines(
                "Memory of our programs",
                (engine.ENGINE_MEMORY, gateway.MEMORY),
                "bytes",
                "Main memory of the engine's API server and of the gateway.\nGrows for days: report it with the"
                " version; a restart of the gateway keeps the model loaded.",
            ),
            no_value="Neither runs",
        ),
    ),
)

MORE = Row(
    "More: clock, energy counters, errors of cards, disk traffic",
    (
        _card(
            lines(
                "Clock",
                (h.GPU_CLOCK,),
                "hertz",
                "Clock of the computing units.\nFalls while the card is busy: it slows itself down; the panel Why the"
                " clock was lowered says why.",
            ),
            width=12,
        ),
        _card(
            lines(
                "Power of all cards",
                (h.ENERGY_PER_HOUR,),
                "watt",
                "Mean power from the cards' own energy counters, which miss nothing between two samples.\nHigher"
                " than your supply likes: lower the limit with nvidia-smi -pl; the last tenth of power buys little"
                " speed.",
            ),
            width=12,
        ),
        _card(
            lines(
                "Errors of the cards",
                (h.GPU_XID, h.GPU_REPLAYS),
                Count("number of the Xid, replays a second"),
                "Number of the last Xid the driver reported (0: none), and repeated transfers on the PCIe bus.\nAn"
                " Xid: see runbook GpuXid. Replays all the time: reseat the card or its riser.",
            ),
            width=12,
        ),
        _node(
            lines(
                "Disk",
                (h.DISK_READ, h.DISK_WRITTEN),
                "Bps",
                "Bytes read and written. A start reads the weights once.\nReading all the time while serving: memory is"
                " short and files are read again and again.",
            ),
            width=12,
        ),
    ),
    collapsed=True,
)

HARDWARE = Dashboard(
    uid="hardware",
    title="Hardware",
    description="What the cards and the machine do. Both need an exporter, which Compose starts on request.",
    rows=(CARDS, MACHINE, WHOSE_TURN, MORE),
)
