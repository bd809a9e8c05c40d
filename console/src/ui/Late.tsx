/** A dialog whose code comes when it is first opened (`lazy`). */
import { type ReactNode, Suspense, useEffect, useState } from "react";
import { flushSync } from "react-dom";

interface Props {
  opened: boolean;
  children: (opened: boolean) => ReactNode;
}

export function Late({ opened, children }: Props) {
  const [wanted, setWanted] = useState(opened);
  if (opened && !wanted) setWanted(true);
  return (
    wanted && (
      <Suspense fallback={null}>
        <Opening opened={opened}>{children}</Opening>
      </Suspense>
    )
  );
}

/** There, and then opened: a dialog that begins open does not know where the focus was. */
function Opening({ opened, children }: Props) {
  const [ready, setReady] = useState(false);
  useEffect(() => {
    // At once, its effects too: a dialog notes where the focus was in an effect, and then takes it.
    const timer = setTimeout(() => flushSync(() => setReady(true)));
    return () => clearTimeout(timer);
  }, []);
  return children(ready && opened);
}
