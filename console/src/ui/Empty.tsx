import { Stack, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { Cli } from "./Cli";

/** Nothing is here yet: what it is for, the first action and the first command. */
export function Empty({ title, children, action, cli }: {
  title: string;
  children?: ReactNode;
  action?: ReactNode;
  cli?: string[];
}) {
  return (
    <Stack align="center" gap="sm" p={48} className="n-card">
      <Text fw={600}>{title}</Text>
      {children && (
        <Text size="sm" c="dimmed" ta="center" maw={520}>
          {children}
        </Text>
      )}
      {action}
      {cli && <Cli words={cli} />}
    </Stack>
  );
}
