/** A name, and what it is for: a new project, made in place. */
import { Button, Group, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, Problem } from "@/api/client";
import { PROJECTS } from "@/app/ProjectSwitch";
import { nameFault } from "./names";

/** `focus`: it was asked for, so that one can type at once. */
export function NewProject({ onMade, cancel, focus = false }: { onMade: (name: string) => void; cancel?: () => void; focus?: boolean }) {
  const { t } = useTranslation(["projects", "common"]);
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [description, setDescription] = useState("");
  const [tried, setTried] = useState(false);
  const first = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (focus) first.current?.focus();
  }, [focus]);
  const fault = nameFault(name);
  const make = useMutation({
    mutationFn: () => ask(api.POST("/api/v1/projects", { body: { name, description } })),
    onSuccess: async (made) => {
      localStorage.setItem("nacre.project", made.name);
      await client.invalidateQueries({ queryKey: PROJECTS });
      onMade(made.name);
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (!fault) make.mutate();
  };
  const refused = make.error instanceof Problem ? make.error.detail : make.error?.message;
  return (
    <form onSubmit={submit} noValidate aria-label={t("new.title")}>
      <Group gap="sm" align="flex-start" grow preventGrowOverflow={false}>
        <TextInput
          label={t("common:name")}
          description={t("new.nameNote")}
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
          error={(tried && fault && t(`new.fault.${fault}`)) || refused}
          miw={240}
          ref={first}
          autoComplete="off"
          spellCheck={false}
        />
        <TextInput
          label={t("common:description")}
          description={t("common:optional")}
          value={description}
          onChange={(event) => setDescription(event.currentTarget.value)}
          miw={240}
        />
      </Group>
      <Group gap="sm" mt="md">
        <Button type="submit" loading={make.isPending}>
          {t("new.make")}
        </Button>
        {cancel && (
          <Button variant="default" onClick={cancel}>
            {t("common:cancel")}
          </Button>
        )}
      </Group>
    </form>
  );
}
