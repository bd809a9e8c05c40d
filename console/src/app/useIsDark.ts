import { useMantineColorScheme } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";

/** Whether the page is dark now, chosen or by the system. */
export function useIsDark(): boolean {
  const { colorScheme } = useMantineColorScheme();
  const system = useMediaQuery("(prefers-color-scheme: dark)", undefined, { getInitialValueInEffect: false });
  return colorScheme === "dark" || (colorScheme === "auto" && system);
}
