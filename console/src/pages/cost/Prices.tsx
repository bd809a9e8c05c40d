/** What an hour of each instance type costs. */
import { Group, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { api, ask, type Schemas } from "@/api/client";
import { Cli } from "@/ui/Cli";
import { DataTable } from "@/ui/DataTable";
import { Failure } from "@/ui/Failure";
import { bytes, price } from "@/ui/format";
import { Loading } from "@/ui/Loading";

type Shape = Schemas["InstanceType"];

export function Prices() {
  const { t } = useTranslation("cost");
  const types = useQuery({ queryKey: ["instance-types"], queryFn: () => ask(api.GET("/api/v1/instance-types")) });
  if (types.error) return <Failure error={types.error} retry={() => void types.refetch()} />;
  if (!types.data) return <Loading />;
  const gpu = (shape: Shape) => (shape.gpu ? `${shape.gpu} ${shape.gpu_name ?? ""}`.trim() : "–");
  return (
    <Stack gap="md">
      <Text size="sm" c="dimmed" maw={720}>
        {t("prices.text")}
      </Text>
      <DataTable
        label={t("tabs.prices")}
        rows={types.data.items}
        id={(shape) => shape.name}
        columns={[
          { key: "name", label: t("prices.type"), cell: (shape) => <span className="n-mono">{shape.name}</span> },
          { key: "cpu", label: t("prices.cpu"), numeric: true, cell: (shape) => shape.cpu },
          { key: "memory", label: t("prices.memory"), numeric: true, cell: (shape) => bytes(shape.memory) },
          { key: "gpu", label: t("prices.gpu"), numeric: true, cell: gpu },
          { key: "hour", label: t("prices.hour"), numeric: true, cell: (shape) => price(shape.price_per_hour, shape.currency) },
          { key: "day", label: t("prices.day"), numeric: true, wide: true, cell: (shape) => price(24 * shape.price_per_hour, shape.currency) },
          {
            key: "fits",
            label: t("prices.fits"),
            wide: true,
            cell: (shape) => (shape.available ? t("prices.yes") : <span className="n-soft">{t("prices.no")}</span>),
          },
        ]}
      />
      <Group>
        <Cli words={["nacre", "offer"]} />
      </Group>
    </Stack>
  );
}
