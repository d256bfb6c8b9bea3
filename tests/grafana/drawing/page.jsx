// Draws the dashboard that lies in window.GIVEN, with what Prometheus answered, on Grafana's grid.
import "./page.css";
import { createTheme, dateTime, ThemeContext } from "@grafana/data";
import { GlobalStyles, PortalContainer } from "@grafana/ui";
import { createRoot } from "react-dom/client";
import { Panel } from "./panels.jsx";
import "./watched.js";

const CELL = 30, GAP = 8, EDGE = 16;

const root = createRoot(document.getElementById("root"));

function Board({ dashboard, answers, span, dark, width }) {
  const theme = createTheme({ colors: { mode: dark ? "dark" : "light" } });
  const range = { from: dateTime(span.from * 1000), to: dateTime(span.to * 1000), raw: { from: "now-30m", to: "now" } };
  const column = (width - 2 * EDGE + GAP) / 24;
  const bottom = Math.max(...dashboard.panels.map(({ gridPos }) => gridPos.y + gridPos.h));
  return (
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <h1 className="board">{dashboard.title}</h1>
      <main style={{ height: bottom * (CELL + GAP) + EDGE, margin: `0 ${EDGE}px` }}>
        {dashboard.panels.map((panel) => {
          const { x, y, w, h } = panel.gridPos;
          const place = { left: x * column, top: y * (CELL + GAP), width: w * column - GAP, height: h * (CELL + GAP) - GAP };
          const inside = panel.type === "row"
            ? <h2 className="row">{panel.collapsed ? "›" : "⌄"} {panel.title}{panel.collapsed && <small> ({panel.panels.length} panels)</small>}</h2>
            : <Panel panel={panel} answers={answers[panel.id]} width={place.width} height={place.height} {...{ span, range, theme }} />;
          return <section key={panel.id} data-panel={panel.id} style={place}>{inside}</section>;
        })}
      </main>
    </ThemeContext.Provider>
  );
}

root.render(<ThemeContext.Provider value={createTheme()}><GlobalStyles /></ThemeContext.Provider>);
// Axes are as wide as their texts, which are measured once.
const declared = () => (document.fonts.size ? Promise.resolve() : new Promise((done) => setTimeout(done, 20)).then(declared));
declared().then(() => Promise.all(["400 12px Inter", "500 14px Inter"].map((font) => document.fonts.load(font)))).then(() => {
  root.render(<Board {...window.GIVEN} />);
});
