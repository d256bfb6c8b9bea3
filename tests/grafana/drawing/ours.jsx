// State timelines and heat maps: npm's packages have no component for them, so these two are drawn here. Texts, colours
// and units are still Grafana's.
import { getDisplayProcessor, getFieldDisplayName, getValueFormat, formattedValueToString } from "@grafana/data";

const clock = (ms) => new Date(ms).toTimeString().slice(0, 5);
const ROOM = { left: 68, bottom: 20 };

function Times({ range, x, y, width }) {
  const marks = [0, 0.25, 0.5, 0.75, 1].map((part) => range.from.valueOf() + part * (range.to.valueOf() - range.from.valueOf()));
  return marks.map((ms, number) => (
    <text key={ms} x={x + (width * number) / 4} y={y} textAnchor={["start", "middle", "middle", "middle", "end"][number]} className="mark">{clock(ms)}</text>
  ));
}

export function StateTimeline({ frames, theme, range, width, height }) {
  const rows = frames.flatMap((frame) => {
    const [time, value] = frame.fields;
    return [{ name: getFieldDisplayName(value, frame, frames), time: time.values, values: value.values, show: value.display ?? getDisplayProcessor({ field: value, theme }) }];
  });
  const left = rows.length > 1 || rows[0]?.name !== "limit" ? 150 : 4;
  const inner = width - left - 8, start = range.from.valueOf(), long = range.to.valueOf() - start;
  const tall = (height - ROOM.bottom - 24) / rows.length;
  const said = new Map();
  const bands = rows.flatMap((row, number) => {
    const found = [];
    row.values.forEach((value, at) => {
      const last = found.at(-1);
      if (value === null) return;
      const end = row.time[at + 1] ?? row.time[at];
      if (last && last.value === value && last.end === row.time[at]) last.end = end;
      else found.push({ value, begin: row.time[at], end });
    });
    return found.map(({ value, begin, end }) => {
      const shown = row.show(value);
      said.set(shown.text, shown.color);
      const x = left + ((begin - start) / long) * inner, wide = Math.max(1, ((end - begin) / long) * inner);
      return (
        <g key={`${row.name} ${begin}`}>
          <rect data-state={shown.text} x={x} y={number * tall + 2} width={wide} height={tall - 4} fill={shown.color} fillOpacity={0.75} />
          {wide > shown.text.length * 8 && <text x={x + 6} y={number * tall + tall / 2 + 4} className="mark on">{shown.text}</text>}
        </g>
      );
    });
  });
  return (
    <div>
      <svg width={width} height={height - 24} role="img">
        {left > 4 && rows.map((row, number) => <text key={row.name} x={left - 8} y={number * tall + tall / 2 + 4} textAnchor="end" className="mark">{row.name}</text>)}
        {bands}
        <Times range={range} x={left} y={rows.length * tall + 14} width={inner} />
      </svg>
      <div className="key">{[...said].map(([text, color]) => <span key={text}><i style={{ background: color }} />{text}</span>)}</div>
    </div>
  );
}

export function HeatMap({ frames, theme, range, width, height, options }) {
  const format = getValueFormat(options.yAxis.unit);
  const bound = (frame) => Number(frame.fields[1].labels.le.replace("+Inf", "Infinity"));
  const sorted = [...frames].sort((a, b) => bound(a) - bound(b));
  // Counts of buckets are up to each bound: what is in one is the difference to the one below.
  const rows = sorted.map((frame, number) => ({
    name: Number.isFinite(bound(frame)) ? formattedValueToString(format(bound(frame))) : "more",
    times: frame.fields[0].values,
    values: frame.fields[1].values.map((value, at) => Math.max(0, (value ?? 0) - (number ? sorted[number - 1].fields[1].values[at] ?? 0 : 0))),
  }));
  const most = Math.max(...rows.flatMap((row) => row.values), 1e-9);
  const inner = width - ROOM.left - 8, tall = (height - ROOM.bottom) / rows.length;
  const start = range.from.valueOf(), long = range.to.valueOf() - start;
  const every = Math.ceil(14 / tall);
  return (
    <svg width={width} height={height} role="img">
      {rows.map((row, number) => {
        const y = height - ROOM.bottom - (number + 1) * tall;
        const wide = row.times.length > 1 ? ((row.times[1] - row.times[0]) / long) * inner : inner;
        return (
          <g key={row.name}>
            {number % every === 0 && <text x={ROOM.left - 6} y={y + tall / 2 + 4} textAnchor="end" className="mark">{row.name}</text>}
            {row.values.map((value, at) => value > 1e-9 && (
              <rect key={row.times[at]} data-cell x={ROOM.left + ((row.times[at] - start) / long) * inner} y={y} width={Math.max(1, wide - 1)} height={Math.max(1, tall - 1)}
                fill={theme.visualization.getColorByName("dark-orange")} fillOpacity={0.1 + 0.9 * (value / most) ** options.color.exponent} />
            ))}
          </g>
        );
      })}
      <Times range={range} x={ROOM.left} y={height - 4} width={inner} />
    </svg>
  );
}
