/** Where the nodes of a lineage stand: columns in the order of making, rows so that few edges cross. */
import type { Schemas } from "@/api/client";

export type LineageNode = Schemas["LineageNode"];
type Kind = LineageNode["kind"];

/** A column of the picture: nodes of these kinds. Every edge leads to the right. */
const COLUMNS: Kind[][] = [["data", "environment"], ["job"], ["run"], ["model"], ["evaluation", "endpoint"]];

export interface Placed {
  node: LineageNode;
  x: number;
  y: number;
}

export interface Layout {
  placed: Placed[];
  /** Columns that show only some of their nodes: where they end, and how many more there are. */
  more: { column: string; x: number; y: number; count: number }[];
  edges: { from: Placed; to: Placed }[];
  /** Of each node. */
  nodeWidth: number;
  width: number;
  height: number;
}

export const NODE_HEIGHT = 46;
const NODE_WIDTH = { most: 184, least: 144 };
const GAP_X = { most: 48, least: 28 };
const GAP_Y = 12;
const SWEEPS = 4;

/** Widths of nodes and of the gaps between them, so that the columns fit into `room` where they can without being cut short. */
function widths(columns: number, room: number): [node: number, gap: number] {
  const wide = columns * NODE_WIDTH.most + (columns - 1) * GAP_X.most;
  const node = Math.floor((room - (columns - 1) * GAP_X.least) / columns);
  if (wide <= room || node < NODE_WIDTH.least) return [NODE_WIDTH.most, GAP_X.most];
  return node > NODE_WIDTH.most
    ? [NODE_WIDTH.most, Math.floor((room - columns * NODE_WIDTH.most) / (columns - 1))]
    : [node, GAP_X.least];
}

/**
 * `open`: names of columns of which all nodes are shown, not only `most`. Subjects are always shown.
 * `room`: the width in px that there is.
 */
export function layout(
  nodes: LineageNode[],
  edges: [string, string][],
  subject: string[],
  open: ReadonlySet<string> = new Set(),
  { room = Infinity, most = 8 }: { room?: number; most?: number } = {},
): Layout {
  const columns = COLUMNS.map((kinds) => ({
    name: kinds[0]!,
    nodes: kinds.flatMap((kind) => nodes.filter((node) => node.kind === kind).sort(newestFirst)),
  })).filter((column) => column.nodes.length > 0);
  order(columns.map((column) => column.nodes), edges);
  const [nodeWidth, gap] = widths(columns.length, room);
  const step = nodeWidth + gap;
  const far = reach(nodes, edges);
  const shown = columns.map((column) => {
    if (open.has(column.name) || column.nodes.length <= most + 1) return column.nodes;
    // The subject, then what led furthest.
    const worth = (node: LineageNode) => (subject.includes(node.id) ? COLUMNS.length : 0) + far.get(node.id)!;
    const kept = new Set([...column.nodes].sort((a, b) => worth(b) - worth(a)).slice(0, most));
    return column.nodes.filter((node) => kept.has(node));
  });
  const tall = Math.max(0, ...shown.map((column, at) => column.length + (column.length < columns[at]!.nodes.length ? 1 : 0)));
  const height = Math.max(NODE_HEIGHT, tall * (NODE_HEIGHT + GAP_Y) - GAP_Y);
  const placed = new Map<string, Placed>();
  const more: Layout["more"] = [];
  shown.forEach((column, at) => {
    const hidden = columns[at]!.nodes.length - column.length;
    const rows = column.length + (hidden ? 1 : 0);
    const top = (height - (rows * (NODE_HEIGHT + GAP_Y) - GAP_Y)) / 2;
    const y = (row: number) => top + row * (NODE_HEIGHT + GAP_Y);
    column.forEach((node, row) => placed.set(node.id, { node, x: at * step, y: y(row) }));
    if (hidden) more.push({ column: columns[at]!.name, x: at * step, y: y(column.length), count: hidden });
  });
  return {
    placed: [...placed.values()],
    more,
    edges: edges.flatMap(([from, to]) => {
      const [a, b] = [placed.get(from), placed.get(to)];
      return a && b ? [{ from: a, to: b }] : [];
    }),
    nodeWidth,
    width: Math.max(nodeWidth, columns.length * step - gap),
    height,
  };
}

const collator = new Intl.Collator("en", { numeric: true });

/** Names count up: the last is the newest. */
function newestFirst(a: LineageNode, b: LineageNode): number {
  return collator.compare(b.label, a.label);
}

const columnOf = (node: LineageNode) => COLUMNS.findIndex((kinds) => kinds.includes(node.kind));

/** The last column that each node leads to. */
function reach(nodes: LineageNode[], edges: [string, string][]): Map<string, number> {
  const found = new Map(nodes.map((node) => [node.id, columnOf(node)]));
  const ordered = [...edges].sort(([a], [b]) => (found.get(b) ?? 0) - (found.get(a) ?? 0));
  for (const [from, to] of ordered) found.set(from, Math.max(found.get(from) ?? 0, found.get(to) ?? 0));
  return found;
}

/** Sort each column by the mean place of its neighbours, back and forth. */
function order(columns: LineageNode[][], edges: [string, string][]): void {
  const neighbours = new Map<string, string[]>();
  for (const [a, b] of edges) {
    neighbours.set(a, [...(neighbours.get(a) ?? []), b]);
    neighbours.set(b, [...(neighbours.get(b) ?? []), a]);
  }
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    for (const column of sweep % 2 ? [...columns].reverse() : columns) {
      const place = new Map(columns.flatMap((one) => one.map((node, row) => [node.id, (row + 0.5) / one.length] as const)));
      const mean = (node: LineageNode) => {
        const others = (neighbours.get(node.id) ?? []).map((id) => place.get(id)!).filter((at) => at !== undefined);
        return others.length ? others.reduce((sum, at) => sum + at, 0) / others.length : place.get(node.id)!;
      };
      const means = new Map(column.map((node) => [node.id, mean(node)]));
      column.sort((a, b) => means.get(a.id)! - means.get(b.id)!);
    }
  }
}

/** Everything that a node was made from, and everything that was made from it, itself included. */
export function related(id: string, edges: [string, string][]): Set<string> {
  const found = new Set([id]);
  for (const way of [0, 1] as const) {
    let reached = [id];
    const seen = new Set(reached);
    while (reached.length) {
      reached = edges.filter((edge) => reached.includes(edge[way]) && !seen.has(edge[1 - way]!)).map((edge) => edge[1 - way]!);
      for (const one of reached) {
        seen.add(one);
        found.add(one);
      }
    }
  }
  return found;
}

/** The page of a node. */
export function pageOf(project: string, node: LineageNode): string {
  const name = node.name.split("/").map(encodeURIComponent).join("/");
  const version = node.version === null || node.version === undefined ? "" : `?version=${String(node.version)}`;
  const pages: Record<Kind, string> = {
    data: `data/${name}${version}`,
    environment: `environments/${name}`,
    job: `jobs/${name}`,
    run: `runs/${name}`,
    model: `models/${name}${version}`,
    evaluation: `models/${name}${version}`,
    endpoint: `endpoints/${name}`,
  };
  return `/p/${project}/${pages[node.kind]}`;
}
