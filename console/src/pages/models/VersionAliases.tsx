/** The aliases of a version; editors point them here or take them away. */
import { Button, Popover, Stack, TextInput } from "@mantine/core";
import { IconPlus, IconX } from "@tabler/icons-react";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask } from "@/api/client";
import { useMay, useProject } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { useConfirm } from "@/ui/confirm";
import { tell, tellError } from "@/ui/notify";
import { useRefresh, type Version } from "./data";
import classes from "./models.module.css";

export function VersionAliases({ version }: { version: Version }) {
  const { t } = useTranslation("models");
  const project = useProject().name;
  const editor = useMay("editor");
  const confirm = useConfirm();
  const refresh = useRefresh(project);
  const [open, setOpen] = useState(false);
  const [alias, setAlias] = useState("");
  const done = async (change: Promise<unknown>, said: string) => {
    try {
      await change;
      tell(said);
      setOpen(false);
      setAlias("");
      await refresh(version.model);
    } catch (error) {
      tellError(error);
    }
  };
  const path = (name: string) => ({ params: { path: { project, model: version.model, alias: name } } });
  const url = "/api/v1/projects/{project}/models/{model}/aliases/{alias}";
  const remove = async (name: string) => {
    const title = t("aliases.removeTitle", { alias: name });
    if (await confirm({ title, lost: t("aliases.lost", { alias: name, model: version.model }), action: t("common:remove") })) {
      await done(ask(api.DELETE(url, path(name))), t("aliases.removed", { alias: name }));
    }
  };
  const point = (event: FormEvent) => {
    event.preventDefault();
    const said = t("aliases.pointed", { alias, number: version.number });
    void done(ask(api.PUT(url, { ...path(alias), body: { version: version.number } })), said);
  };
  const name = `${version.model}/${version.number}`;
  return (
    <span className={classes.pills}>
      {(version.aliases ?? []).map((one) => (
        <span key={one} className={classes.pill}>
          @{one}
          {editor && (
            <button type="button" aria-label={t("aliases.remove", { alias: one, name })} onClick={() => void remove(one)}>
              <IconX size={12} />
            </button>
          )}
        </span>
      ))}
      {!editor && !version.aliases?.length && <span className="n-soft">–</span>}
      {editor && (
        <Popover opened={open} onChange={setOpen} position="bottom-start" trapFocus width={280}>
          <span className={classes.pill}>
            <Popover.Target>
              <button type="button" style={{ margin: "0 -4px" }} aria-label={t("aliases.add", { name })} title={t("aliases.add", { name })} onClick={() => setOpen(!open)}>
                <IconPlus size={12} />
              </button>
            </Popover.Target>
          </span>
          <Popover.Dropdown>
            <form onSubmit={point}>
              <Stack gap="sm">
                <TextInput
                  label={t("aliases.name")}
                  description={t("aliases.text")}
                  placeholder="best"
                  value={alias}
                  onChange={(event) => setAlias(event.currentTarget.value)}
                  required
                  data-autofocus
                />
                <Cli words={["nacre", "model", "alias", name, alias || "best"]} />
                <Button type="submit" disabled={!alias}>
                  {t("aliases.point", { number: version.number })}
                </Button>
              </Stack>
            </form>
          </Popover.Dropdown>
        </Popover>
      )}
    </span>
  );
}
