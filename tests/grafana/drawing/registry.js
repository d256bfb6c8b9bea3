// Which options of a field a dashboard may set: all that ours set, taken as they are.
import { FieldConfigOptionsRegistry, FieldType } from "@grafana/data";

const asIs = (value) => value;
const STANDARD = ["unit", "min", "max", "decimals", "displayName", "noValue", "thresholds", "mappings", "color"];
const CUSTOM = ["lineWidth", "fillOpacity", "showPoints", "stacking", "axisSoftMax", "axisLabel", "axisPlacement", "thresholdsStyle", "align"];

const option = (path, isCustom) => ({
  id: isCustom ? `custom.${path}` : path, path, name: path, isCustom, editor: () => null, override: () => null,
  process: asIs,
  // As Grafana has it: what is said of an axis is not said of the times below it.
  shouldApply: (field) => !isCustom || field.type !== FieldType.time, settings: {},
});

export const registry = new FieldConfigOptionsRegistry(() => [
  ...STANDARD.map((path) => option(path, false)), ...CUSTOM.map((path) => option(path, true)),
]);
