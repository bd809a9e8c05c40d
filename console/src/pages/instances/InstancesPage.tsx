/** The project's instances: which run, what they cost, when they stop by themselves. */
import { Button, Group } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { useLiveList } from "@/api/queries";
import { useMay, useProject } from "@/app/project";
import { useUser } from "@/app/session";
import { Cli } from "@/ui/Cli";
import { type Column, DataTable } from "@/ui/DataTable";
import { Empty } from "@/ui/Empty";
import { Failure } from "@/ui/Failure";
import { ChoiceFilter, SearchFilter } from "@/ui/Filters";
import { money, price } from "@/ui/format";
import { Loading } from "@/ui/Loading";
import { Moment } from "@/ui/Moment";
import { Page } from "@/ui/Page";
import { Status } from "@/ui/Status";
import { Tagged } from "@/ui/Tagged";
import { useNow } from "@/ui/ticking";
import { useSorted } from "@/ui/useSorted";
import { useUrlState } from "@/ui/useUrlState";
import { clock, costNow, idleLeft, type Instance, INSTANCE_STATES, isAllocated, isAtRest, isTensorBoard, LIMIT, listInstances, listKey } from "./instance";
import classes from "./instances.module.css";
import { OpenIcon } from "./OpenButton";

export default function InstancesPage() {
  const { t } = useTranslation("instances");
  const { name: project } = useProject();
  const mayEdit = useMay("editor");
  const key = listKey(project);
  const found = useQuery({ queryKey: key, queryFn: () => listInstances(project) });
  useLiveList(key, { topic: "instances", project, limit: LIMIT });
  const create = mayEdit && (
    <Button component={Link} to="new" leftSection={<IconPlus size={14} />}>
      {t("new")}
    </Button>
  );
  return (
    <Page title={t("title")} actions={create} cli={<Cli words={["nacre", "instance", "ls"]} />}>
      {found.error && !found.data ? (
        <Failure error={found.error} retry={() => void found.refetch()} />
      ) : !found.data ? (
        <Loading />
      ) : found.data.items.length === 0 ? (
        <Empty title={t("empty.title")} action={create} cli={["nacre", "instance", "create", "lab", "--type", "cpu.small", "--env", "pytorch"]}>
          {t("empty.text")}
        </Empty>
      ) : (
        <Table instances={found.data.items} asOf={found.dataUpdatedAt} />
      )}
    </Page>
  );
}

const values = (asOf: number, now: number) => ({
  name: (one: Instance) => one.name,
  state: (one: Instance) => INSTANCE_STATES.indexOf(one.state),
  type: (one: Instance) => one.type,
  environment: (one: Instance) => one.environment,
  user: (one: Instance) => one.user,
  idle: (one: Instance) => idleLeft(one, asOf, now),
  price: (one: Instance) => one.price_per_hour,
  cost: (one: Instance) => costNow(one, asOf, now),
  created: (one: Instance) => one.created_at,
});

function Table({ instances, asOf }: { instances: Instance[]; asOf: number }) {
  const { t } = useTranslation("instances");
  const { t: words } = useTranslation("status");
  const { name: project } = useProject();
  const me = useUser().name;
  const isOwner = useMay("owner");
  const mayEdit = useMay("editor");
  const [text, setText] = useUrlState("q");
  const [state, setState] = useUrlState("state");
  const [user, setUser] = useUrlState("user");
  const now = useNow(instances.some(isAllocated));
  const users = [...new Set(instances.map((one) => one.user))].sort();
  const matching = instances.filter((one) => {
    if (state && one.state !== state) return false;
    if (user && one.user !== user) return false;
    return !text || [one.name, one.type, one.environment, ...Object.values(one.data ?? {})].join("\n").toLowerCase().includes(text.toLowerCase());
  });
  const { rows, sort, onSort } = useSorted(matching, values(asOf, now));
  const columns: Column<Instance>[] = [
    {
      key: "name",
      label: t("common:name"),
      sortable: true,
      cell: (one) => <Tagged tag={isTensorBoard(one) && "TensorBoard"}>{one.name}</Tagged>,
    },
    {
      key: "state",
      label: t("common:state"),
      sortable: true,
      cell: (one) => <Status state={one.state} title={one.message} />,
    },
    { key: "idle", label: t("stopsIn"), sortable: true, numeric: true, cell: (one) => <Left instance={one} asOf={asOf} now={now} /> },
    { key: "type", label: t("type"), sortable: true, wide: true, cell: (one) => one.type },
    {
      key: "environment",
      label: t("environment"),
      sortable: true,
      wide: true,
      cell: (one) =>
        isTensorBoard(one) ? (
          "–"
        ) : (
          <Link className={classes.link} to={`/p/${project}/environments/${encodeURIComponent(one.environment)}`}>
            {one.environment}
          </Link>
        ),
    },
    ...(users.length > 1 ? [{ key: "user", label: t("common:user"), sortable: true, wide: true, cell: (one: Instance) => one.user }] : []),
    {
      key: "created",
      label: t("common:created"),
      sortable: true,
      wide: true,
      cell: (one) => <Moment iso={one.created_at} />,
    },
    { key: "price", label: t("price"), sortable: true, numeric: true, wide: true, cell: (one) => price(one.price_per_hour, one.currency) },
    { key: "cost", label: t("common:cost"), sortable: true, numeric: true, cell: (one) => money(costNow(one, asOf, now), one.currency) },
  ];
  if (mayEdit) {
    columns.push({
      key: "open",
      label: t("common:open"),
      width: 56,
      actions: true,
      cell: (one) => (!isAtRest(one) && one.state !== "stopping" && (isOwner || one.user === me) ? <OpenIcon instance={one} /> : null),
    });
  }
  return (
    <>
      <Group gap="sm" wrap="wrap">
        <SearchFilter label={t("search")} value={text} onChange={setText} />
        <ChoiceFilter
          label={t("common:state")}
          any={t("anyState")}
          data={INSTANCE_STATES.map((value) => ({ value, label: words(value) }))}
          value={state}
          onChange={setState}
        />
        {users.length > 1 && (
          <ChoiceFilter label={t("common:user")} any={t("anyUser")} data={users} value={user} onChange={setUser} />
        )}
        <span className="n-soft">{t("count", { count: rows.length })}</span>
      </Group>
      {rows.length ? (
        <DataTable
          label={t("title")}
          rows={rows}
          columns={columns}
          id={(one) => one.id}
          to={(one) => `/p/${project}/instances/${encodeURIComponent(one.name)}`}
          sort={sort}
          onSort={onSort}
        />
      ) : (
        <p className="n-soft">{t("noMatch")}</p>
      )}
    </>
  );
}

function Left({ instance, asOf, now }: { instance: Instance; asOf: number; now: number }) {
  const { t } = useTranslation("instances");
  const left = idleLeft(instance, asOf, now);
  if (left === null) return "–";
  return (
    <span className={left < 300 ? classes.soon : undefined} title={t("idle.note")}>
      {clock(left)}
    </span>
  );
}
