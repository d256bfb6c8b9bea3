// What Prometheus answered, as Grafana's data frames: what its own data source makes of it.
import { FieldType, toDataFrame } from "@grafana/data";

// Its data source fills a step in which there was nothing with null, so that a line is not drawn across it.
function filled(values, { from, to, step }) {
  const found = new Map(values.map(([second, value]) => [Math.round(second / step), Number(value)]));
  const times = [], numbers = [];
  for (let at = Math.round(from / step); at <= Math.round(to / step); at += 1) {
    times.push(at * step * 1000);
    numbers.push(found.has(at) ? found.get(at) : null);
  }
  return [times, numbers];
}

export function legend(format, labels) {
  return format.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name) => labels[name] ?? "");
}

function series(target, one, span) {
  const [times, numbers] = one.values ? filled(one.values, span) : [[one.value[0] * 1000], [Number(one.value[1])]];
  const { __name__: _, ...labels } = one.metric;
  const config = { displayNameFromDS: legend(target.legendFormat, labels) };
  return toDataFrame({
    refId: target.refId,
    name: config.displayNameFromDS,
    fields: [
      { name: "Time", type: FieldType.time, values: times, config: {} },
      { name: "Value", type: FieldType.number, values: numbers, labels, config },
    ],
  });
}

function table(target, found) {
  const names = [...new Set(found.flatMap((one) => Object.keys(one.metric)))];
  return toDataFrame({
    refId: target.refId,
    fields: names.map((name) => ({
      name, type: FieldType.string, config: {}, values: found.map((one) => one.metric[name] ?? ""),
    })),
  });
}

// Frames of a panel, from the answer to each of its targets.
export function frames(targets, answers, span) {
  return targets.flatMap((target, number) =>
    target.format === "table" ? [table(target, answers[number])] : answers[number].map((one) => series(target, one, span)));
}

// The two transformations that our tables have, and no other one.
export function transformed(frame, transformations) {
  let fields = frame.fields;
  for (const { id, options } of transformations ?? []) {
    if (id === "filterFieldsByName") fields = fields.filter((field) => options.include.names.includes(field.name));
    else if (id === "organize") {
      fields = [...fields].sort((a, b) => options.indexByName[a.name] - options.indexByName[b.name])
        .map((field) => ({ ...field, name: options.renameByName[field.name] ?? field.name }));
    } else throw new Error(`no transformation ${id} here`);
  }
  return { ...frame, fields };
}
