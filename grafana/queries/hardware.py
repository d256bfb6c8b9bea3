"""Cards through the DCGM exporter, the machine through the node exporter. Both are optional."""

from grafana.query import Query, rate, series

NO_CARDS = "needs the DCGM exporter (Compose profile gpu)"
NO_NODE = "needs the node exporter (Compose profile hardware)"


def _card(field: str, legend: str, factor: str = "") -> Query:
    return Query(f"max by (gpu) ({series(field)}){factor}", legend, NO_CARDS)


GPU_MEMORY = Query(
    f"max by (gpu) ({series('DCGM_FI_DEV_FB_USED')}) / (max by (gpu) ({series('DCGM_FI_DEV_FB_USED')})"
    f" + max by (gpu) ({series('DCGM_FI_DEV_FB_FREE')}))",
    "card {{gpu}}", NO_CARDS,
)  # fmt: skip
_MEMORY_OF_EACH = GPU_MEMORY.expr
FULLEST_CARD = Query(f"max({_MEMORY_OF_EACH})", "the fullest card", NO_CARDS)
HOTTEST_CARD = Query(f"max({series('DCGM_FI_DEV_GPU_TEMP')})", "the hottest card", NO_CARDS)
POWER_OF_ALL = Query(
    f"sum by (deployment) (max by (deployment, gpu) ({series('DCGM_FI_DEV_POWER_USAGE')}))", "all cards", NO_CARDS
)
GPU_BUSY = _card("DCGM_FI_DEV_GPU_UTIL", "card {{gpu}}: a kernel ran", " / 100")
GPU_COPYING = _card("DCGM_FI_DEV_MEM_COPY_UTIL", "card {{gpu}}: memory was moved", " / 100")
GPU_POWER = _card("DCGM_FI_DEV_POWER_USAGE", "card {{gpu}}")
GPU_POWER_LIMIT = _card("DCGM_FI_DEV_POWER_MGMT_LIMIT", "limit of card {{gpu}}")
GPU_TEMPERATURE = _card("DCGM_FI_DEV_GPU_TEMP", "card {{gpu}}")
GPU_CLOCK = _card("DCGM_FI_DEV_SM_CLOCK", "card {{gpu}}", " * 1e6")
_NOT_IDLE = 'clock_event!="gpu_idle"'
GPU_SLOWED = Query(
    f"max by (gpu, clock_event) ({series('DCGM_EXP_CLOCK_EVENTS_COUNT', _NOT_IDLE)})",
    "card {{gpu}}: {{clock_event}}", NO_CARDS,
)  # fmt: skip
GPU_XID = _card("DCGM_FI_DEV_XID_ERRORS", "card {{gpu}}: last Xid")
GPU_REPLAYS = Query(
    rate("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", by="gpu"), "card {{gpu}}: PCIe replays per second", NO_CARDS
)
_JOULES_A_TOKEN = series("deployment:gpu_energy_joules_per_output_token:rate5m")
ENERGY_PER_MILLION = Query(f"{_JOULES_A_TOKEN} / 3.6", "per million output tokens", NO_CARDS)
ENERGY_PER_HOUR = Query(rate("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION") + " / 1000", "all cards", NO_CARDS)

CPU_BY_MODE = Query(rate("node_cpu_seconds_total", 'mode!="idle"', by="mode"), "{{mode}}", NO_NODE)
LOAD = Query(series("node_load1"), "programs that run or wait, mean of a minute", NO_NODE)
_EACH_CORE = rate("node_cpu_seconds_total", by="deployment, cpu")
CORES = Query(f"count by (deployment) ({_EACH_CORE})", "cores", NO_NODE)
MEMORY_AVAILABLE = Query(series("node_memory_MemAvailable_bytes"), "available", NO_NODE)
MEMORY_TOTAL = Query(series("node_memory_MemTotal_bytes"), "in all", NO_NODE)
_REAL = 'fstype!~"tmpfs|overlay|squashfs|ramfs"'
DISK_FREE = Query(
    f"min by (mountpoint) ({series('node_filesystem_avail_bytes', _REAL)}"
    f" / {series('node_filesystem_size_bytes', _REAL)})",
    "{{mountpoint}}", NO_NODE,
)  # fmt: skip
DISK_READ = Query(rate("node_disk_read_bytes_total", by="device"), "{{device}} read", NO_NODE)
DISK_WRITTEN = Query(rate("node_disk_written_bytes_total", by="device"), "{{device}} written", NO_NODE)
PRESSURE = (
    Query(rate("node_pressure_cpu_waiting_seconds_total"), "for a core", NO_NODE),
    Query(rate("node_pressure_memory_waiting_seconds_total"), "for memory", NO_NODE),
    Query(rate("node_pressure_io_waiting_seconds_total"), "for the disk", NO_NODE),
)
