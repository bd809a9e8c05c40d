/** What a thing was made from and what was made from it: boxes that are links, from left to right. */
import { SegmentedControl } from "@mantine/core";
import {
  IconBox,
  IconChartLine,
  IconDatabase,
  IconPackages,
  IconPlayerPlay,
  IconPlugConnected,
  IconTargetArrow,
} from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { type RefObject, useLayoutEffect, useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { api, ask, type Schemas } from "@/api/client";
import { Failure } from "./Failure";
import classes from "./LineageGraph.module.css";
import { layout, type LineageNode, NODE_HEIGHT, pageOf, type Placed, related } from "./lineageLayout";
import { Loading } from "./Loading";
import { Notice } from "./Notice";
import { Status } from "./Status";

const ICONS: Record<LineageNode["kind"], typeof IconBox> = {
  data: IconDatabase,
  environment: IconPackages,
  job: IconPlayerPlay,
  run: IconChartLine,
  model: IconBox,
  evaluation: IconTargetArrow,
  endpoint: IconPlugConnected,
};

/** Of the scrolling box, as in its style. */
const PADDING = 16;

/** In the order of making. */
const KINDS = Object.keys(ICONS);

/** `subject`: `data:digits/3`, `data:digits`, `job:NAME`, `run:ID`, `model:NAME/2`, `endpoint:NAME`, `environment:NAME`. */
export function LineageGraph({ project, subject }: { project: string; subject: string }) {
  const { t } = useTranslation("lineage");
  const [form, setForm] = useState<"graph" | "list">("graph");
  const found = useQuery({
    queryKey: ["lineage", project, subject],
    queryFn: () =>
      ask(api.GET("/api/v1/projects/{project}/lineage", { params: { path: { project }, query: { subject } } })),
  });
  if (found.error) return <Failure error={found.error} retry={() => void found.refetch()} />;
  if (!found.data) return <Loading />;
  const graph = found.data;
  return (
    <section aria-label={t("title")}>
      <div className={classes.bar}>
        <p className={classes.help}>{graph.edges.length ? t("help") : t("alone")}</p>
        <SegmentedControl
          value={form}
          onChange={(value) => setForm(value as typeof form)}
          data={[
            { value: "graph", label: t("graph") },
            { value: "list", label: t("list") },
          ]}
          aria-label={t("form")}
        />
      </div>
      {graph.cut && (
        <div className={classes.cut}>
          <Notice>
          {t("cut", { count: graph.nodes.length })}
        </Notice>
        </div>
      )}
      {form === "graph" ? <Picture {...{ project, graph }} /> : <List {...{ project, graph }} />}
    </section>
  );
}

interface GraphProps {
  project: string;
  graph: Omit<Schemas["LineageGraph"], "edges"> & { edges: string[][] };
}

function Picture({ project, graph }: GraphProps) {
  const { t } = useTranslation("lineage");
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const [active, setActive] = useState<string | null>(null);
  const edges = graph.edges as [string, string][];
  const scroller = useRef<HTMLDivElement>(null);
  const room = useRoom(scroller);
  const plan = useMemo(() => layout(graph.nodes, edges, graph.subject, open, { room }), [graph, edges, open, room]);
  const { nodeWidth } = plan;
  const subject = plan.placed.find(({ node }) => graph.subject.includes(node.id));
  const middle = subject ? subject.x + nodeWidth / 2 : 0;
  useLayoutEffect(() => {
    // Where it has to scroll, what the page is about is in view.
    if (scroller.current) scroller.current.scrollLeft = PADDING + middle - scroller.current.clientWidth / 2;
  }, [middle, room]);
  const lit = useMemo(() => (active === null ? null : related(active, edges)), [active, edges]);
  return (
    // A region that scrolls has to be reachable by keys.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div ref={scroller} className={classes.scroller} role="region" aria-label={t("graph")} tabIndex={0}>
      <div className={classes.canvas} style={{ width: plan.width, height: plan.height }} data-lit={lit ? true : undefined}>
        <svg width={plan.width} height={plan.height} className={classes.edges} aria-hidden>
          {plan.edges.map(({ from, to }) => (
            <path
              key={`${from.node.id} ${to.node.id}`}
              d={curve(from, to, nodeWidth)}
              data-lit={(lit?.has(from.node.id) && lit.has(to.node.id)) || undefined}
            />
          ))}
        </svg>
        {plan.placed.map(({ node, x, y }) => (
          <Link
            key={node.id}
            to={pageOf(project, node)}
            className={classes.node}
            style={{ left: x, top: y, width: nodeWidth, height: NODE_HEIGHT }}
            data-subject={graph.subject.includes(node.id) || undefined}
            data-lit={lit?.has(node.id) || undefined}
            title={node.label}
            onMouseEnter={() => setActive(node.id)}
            onMouseLeave={() => setActive(null)}
            onFocus={() => setActive(node.id)}
            onBlur={() => setActive(null)}
          >
            <NodeWords node={node} />
          </Link>
        ))}
        {plan.more.map(({ column, x, y, count }) => (
          <button
            key={column}
            type="button"
            className={classes.more}
            style={{ left: x, top: y, width: nodeWidth, height: NODE_HEIGHT }}
            onClick={() => setOpen(new Set([...open, column]))}
          >
            {t("more", { count })}
          </button>
        ))}
      </div>
    </div>
  );
}

/** The width that an element has within its padding; unknown, there is any. */
function useRoom(box: RefObject<HTMLElement | null>): number {
  const [room, setRoom] = useState(Infinity);
  useLayoutEffect(() => {
    const element = box.current!;
    const measure = () => setRoom(element.clientWidth - 2 * PADDING);
    measure();
    const watched = new ResizeObserver(measure);
    watched.observe(element);
    return () => watched.disconnect();
  }, [box]);
  return room;
}

function NodeWords({ node }: { node: LineageNode }) {
  const { t } = useTranslation("lineage");
  const Icon = ICONS[node.kind];
  return (
    <>
      <Icon size={16} aria-hidden className={classes.icon} />
      <span className={classes.words}>
        <span className={classes.label}>{node.label}</span>
        <span className={classes.kind}>
          {t(`kinds.${node.kind}`)}
          {node.state && <Status state={node.state} />}
        </span>
      </span>
    </>
  );
}

/** The same in words: each thing, what it came from and what came of it. */
function List({ project, graph }: GraphProps) {
  const { t } = useTranslation("lineage");
  const nodes = new Map(graph.nodes.map((node) => [node.id, node]));
  const links = (ids: string[]) =>
    ids.map((id, at) => (
      <span key={id}>
        {at > 0 && ", "}
        <Link to={pageOf(project, nodes.get(id)!)}>{nodes.get(id)!.label}</Link>
      </span>
    ));
  return (
    // A region that scrolls has to be reachable by keys.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className={classes.list} role="region" aria-label={t("list")} tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">{t("kind")}</th>
            <th scope="col">{t("common:name")}</th>
            <th scope="col">{t("common:state")}</th>
            <th scope="col">{t("from")}</th>
            <th scope="col">{t("to")}</th>
          </tr>
        </thead>
        <tbody>
          {[...graph.nodes].sort((a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind)).map((node) => (
            <tr key={node.id} data-subject={graph.subject.includes(node.id) || undefined}>
              <td>{t(`kinds.${node.kind}`)}</td>
              <th scope="row">
                <Link to={pageOf(project, node)}>{node.label}</Link>
              </th>
              <td>{node.state && <Status state={node.state} />}</td>
              <td>{links(graph.edges.filter(([, to]) => to === node.id).map(([from]) => from!))}</td>
              <td>{links(graph.edges.filter(([from]) => from === node.id).map(([, to]) => to!))}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function curve(from: Placed, to: Placed, width: number): string {
  const [x1, y1] = [from.x + width, from.y + NODE_HEIGHT / 2];
  const [x2, y2] = [to.x, to.y + NODE_HEIGHT / 2];
  const bend = Math.max(20, (x2 - x1) / 2);
  return `M ${x1} ${y1} C ${x1 + bend} ${y1}, ${x2 - bend} ${y2}, ${x2} ${y2}`;
}
