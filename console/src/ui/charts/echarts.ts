/** The parts of ECharts that the console uses, in the theme's colours. */
import { HeatmapChart, LineChart, ParallelChart, ScatterChart } from "echarts/charts";
import {
  BrushComponent,
  GridComponent,
  LegendComponent,
  ParallelComponent,
  TooltipComponent,
  VisualMapComponent,
} from "echarts/components";
import { type ECharts, init as make, use as register } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";
import type { Tokens } from "./theme";

register([
  BrushComponent,
  CanvasRenderer,
  GridComponent,
  HeatmapChart,
  LegendComponent,
  LineChart,
  ParallelChart,
  ParallelComponent,
  ScatterChart,
  TooltipComponent,
  VisualMapComponent,
]);

export function init(box: HTMLElement, theme: Tokens): ECharts {
  const words = { color: theme.soft, fontSize: 11, fontFamily: theme.font };
  const axis = {
    axisLine: { lineStyle: { color: theme.border } },
    axisTick: { lineStyle: { color: theme.border } },
    axisLabel: words,
    nameTextStyle: words,
    splitLine: { lineStyle: { color: theme.border } },
  };
  return make(box, {
    backgroundColor: "transparent",
    textStyle: { color: theme.text, fontFamily: theme.font },
    valueAxis: axis,
    categoryAxis: axis,
    logAxis: axis,
    timeAxis: axis,
    parallel: { parallelAxisDefault: axis },
    legend: { textStyle: words },
    visualMap: { textStyle: words },
    // Drawn on the canvas: no HTML is made of what runs are called.
    tooltip: {
      renderMode: "richText",
      backgroundColor: theme.bg,
      borderColor: theme.border,
      textStyle: { color: theme.text, fontSize: 12 },
    },
  });
}
