/** State that lives in the URL, so that back, reload and a copied link keep it. */
import { useCallback } from "react";
import { useSearchParams } from "react-router";

/** One text parameter; the default is not written. `replace` by default: typing makes no history. */
export function useUrlState(
  name: string,
  initial = "",
  { push = false }: { push?: boolean } = {},
): [string, (value: string) => void] {
  const [params, setParams] = useSearchParams();
  const set = useCallback(
    (value: string) => {
      setParams(
        (before) => {
          const after = new URLSearchParams(before);
          if (value === initial) after.delete(name);
          else after.set(name, value);
          return after;
        },
        { replace: !push, preventScrollReset: true },
      );
    },
    [setParams, name, initial, push],
  );
  return [params.get(name) ?? initial, set];
}

/** Several values of one parameter, e.g. selected runs: `?run=a&run=b`. */
export function useUrlList(name: string): [string[], (values: string[]) => void] {
  const [params, setParams] = useSearchParams();
  const set = useCallback(
    (values: string[]) => {
      setParams(
        (before) => {
          const after = new URLSearchParams(before);
          after.delete(name);
          for (const value of values) after.append(name, value);
          return after;
        },
        { replace: true, preventScrollReset: true },
      );
    },
    [setParams, name],
  );
  return [params.getAll(name), set];
}
