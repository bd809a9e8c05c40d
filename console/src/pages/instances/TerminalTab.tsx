/** Terminals of an instance. The shells go on when nobody looks; the address says which one is open. */
import { Button, Group, Loader, SegmentedControl } from "@mantine/core";
import { IconPlus, IconRefresh } from "@tabler/icons-react";
import { lazy, Suspense, useState } from "react";
import { useTranslation } from "react-i18next";
import { useProject } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { Empty } from "@/ui/Empty";
import { Loading } from "@/ui/Loading";
import { useUrlState } from "@/ui/useUrlState";
import type { Instance } from "./instance";
import classes from "./instances.module.css";
import { type LinkState, nextName } from "./terminalLink";

const TerminalView = lazy(() => import("./TerminalView"));

export function TerminalTab({ instance }: { instance: Instance }) {
  const { t } = useTranslation("instances");
  if (instance.state === "running") return <Terminals instance={instance} />;
  const moving = instance.state === "queued" || instance.state === "starting";
  return (
    <Empty title={moving ? t("terminal.soon") : t("terminal.off")} {...(moving ? {} : { cli: ["nacre", "instance", "start", instance.name] })}>
      {moving ? t("terminal.soonText") : t("terminal.offText")}
    </Empty>
  );
}

function Terminals({ instance }: { instance: Instance }) {
  const { t } = useTranslation("instances");
  const { name: project } = useProject();
  const [name, setName] = useUrlState("terminal", "1");
  const [names, setNames] = useState<string[]>([]);
  const [state, setState] = useState<LinkState>("connecting");
  const [said, setSaid] = useState("");
  const [round, setRound] = useState(0);
  const shown = [...new Set([...names, name])].sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
  const over = state === "ended" || state === "refused";
  const again = () => {
    setSaid("");
    setRound(round + 1);
  };
  const ended = (text: string) => {
    setSaid(text);
    setNames((before) => before.filter((one) => one !== name));
  };
  return (
    <section className={classes.terminal} aria-label={t("tabs.terminal")}>
      <Group gap="sm" wrap="wrap" className={classes.terminalBar}>
        {shown.length > 1 && (
          <SegmentedControl
            aria-label={t("terminal.which")}
            value={name}
            onChange={(next) => {
              setSaid("");
              setName(next);
            }}
            data={shown.map((value) => ({ value, label: value }))}
          />
        )}
        <Button variant="default" size="compact-xs" leftSection={<IconPlus size={12} />} onClick={() => setName(nextName(shown))}>
          {t("terminal.new")}
        </Button>
        <span className={classes.terminalState} role="status" data-state={state}>
          {!over && state !== "open" && <Loader size={12} aria-hidden />}
          {said || t(`terminal.states.${state}`)}
        </span>
        {over && (
          <Button variant="default" size="compact-xs" leftSection={<IconRefresh size={12} />} onClick={again}>
            {t("terminal.again")}
          </Button>
        )}
        <span className={classes.terminalCli}>
          <Cli words={["nacre", "instance", "terminal", instance.name, "--terminal", name]} />
        </span>
      </Group>
      <Suspense fallback={<Loading />}>
        <TerminalView
          key={`${instance.id}/${name}/${String(round)}`}
          project={project}
          instance={instance.name}
          terminal={name}
          label={t("terminal.label", { name, instance: instance.name })}
          onState={setState}
          onNames={setNames}
          onExit={(code) => ended(code === null ? t("terminal.exited") : t("terminal.exitedWith", { code }))}
          onRefused={(problem) => ended(problem.detail)}
        />
      </Suspense>
      <p className="n-soft">{t("terminal.note")}</p>
    </section>
  );
}
