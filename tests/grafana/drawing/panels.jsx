// A panel by Grafana's own components: chrome, time series, numbers, tables; ours.jsx has the two that it keeps.
import { applyFieldOverrides, getFieldDisplayValues } from "@grafana/data";
import { BigValue, PanelChrome, TimeSeries, VizRepeater } from "@grafana/ui";
import { TableNG } from "@grafana/ui/unstable";
import { frames, transformed } from "./frames.js";
import { HeatMap, StateTimeline } from "./ours.jsx";
import { registry } from "./registry.js";

const asIs = (text) => text;

function given(panel, answers, span, theme) {
  const data = frames(panel.targets, answers, span).map((frame) => transformed(frame, panel.transformations));
  return applyFieldOverrides({
    data, fieldConfig: panel.fieldConfig, replaceVariables: asIs, theme, timeZone: "utc", fieldConfigRegistry: registry,
  });
}

function Numbers({ panel, data, theme, width, height }) {
  const { options } = panel;
  const values = getFieldDisplayValues({
    fieldConfig: panel.fieldConfig, reduceOptions: options.reduceOptions, replaceVariables: asIs, theme, data,
    sparkline: options.graphMode !== "none", timeZone: "utc",
  });
  return (
    <VizRepeater
      getValues={() => values} source={data} width={width} height={height} orientation={options.orientation} itemSpacing={3}
      renderValue={({ value, width, height }) => (
        <BigValue value={value.display} sparkline={value.sparkline} colorMode={options.colorMode} graphMode={options.graphMode}
          textMode={options.textMode} justifyMode={options.justifyMode} wideLayout={options.wideLayout}
          text={options.text} width={width} height={height} theme={theme} count={values.length} />
      )}
    />
  );
}

// An empty panel says so in its own words, as Grafana's does.
function Nothing({ panel }) {
  return <div className="nothing" data-nothing>{panel.fieldConfig.defaults.noValue}</div>;
}

function Inside({ panel, data, theme, range, width, height }) {
  const { options } = panel;
  if (panel.type === "stat") return <Numbers {...{ panel, data, theme, width, height }} />;
  if (!data.some((frame) => frame.length)) return <Nothing panel={panel} />;
  switch (panel.type) {
    case "timeseries":
      return <TimeSeries frames={data} structureRev={1} timeRange={range} timeZone="browser" width={width} height={height} legend={options.legend} options={options} tweakScale={asIs} tweakAxis={asIs} />;
    case "table":
      return <TableNG data={data[0]} width={width} height={height} structureRev={1} fieldConfig={panel.fieldConfig} {...options} />;
    case "state-timeline":
      return <StateTimeline frames={data} {...{ theme, range, width, height }} />;
    case "heatmap":
      return <HeatMap frames={data} {...{ theme, range, width, height, options }} />;
    default:
      throw new Error(`no panel of type ${panel.type} here`);
  }
}

export function Panel({ panel, answers, span, range, theme, width, height }) {
  const data = given(panel, answers, span, theme);
  return (
    <PanelChrome title={panel.title} description={panel.description} width={width} height={height}>
      {(width, height) => <Inside {...{ panel, data, theme, range, width, height }} />}
    </PanelChrome>
  );
}
