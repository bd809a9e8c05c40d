/** What narrows a list. The values are the caller's, which keeps them in the URL. */
import { Select, type SelectProps, TextInput, type TextInputProps } from "@mantine/core";
import { IconSearch } from "@tabler/icons-react";
import classes from "./Filters.module.css";

/** A text to look for. As wide as there is room for, unless a width is given. */
export function SearchFilter({ label, value, onChange, w, maw }: { label: string; value: string; onChange: (value: string) => void } & Pick<TextInputProps, "w" | "maw">) {
  const size = w === undefined && maw === undefined ? { className: classes.search } : { w, maw };
  return (
    <TextInput
      aria-label={label}
      placeholder={label}
      leftSection={<IconSearch size={14} aria-hidden />}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
      {...size}
    />
  );
}

/** One of some values, or any: the empty text. */
export function ChoiceFilter({ label, any, data, value, onChange, w = 140 }: {
  label: string;
  /** The word for "any of them". */
  any: string;
  data: NonNullable<SelectProps["data"]>;
  value: string;
  onChange: (value: string) => void;
  w?: number;
}) {
  return (
    <Select
      aria-label={label}
      placeholder={any}
      data={data}
      value={value || null}
      onChange={(chosen) => onChange(chosen ?? "")}
      clearable
      clearButtonProps={{ "aria-label": any }}
      w={w}
    />
  );
}
